"""The matcher of examples must find differences."""

from typing import Any

import pytest

from rpc.examples import show
from tests.e2e.example_matching import Bindings, Mismatch

TIME = "2026-11-22T17:38:04.611Z"


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": "<time>", "b": "<time>"}, {"a": TIME, "b": "2026-11-22T17:38:05.000Z"}),
        (["<session>", "<session>"], ["12345678.ab", "12345678.ab"]),
        (["<...>", 2, "<...>"], [0, 1, 2, 3]),
        (["<...>"], []),
        ("<int=7>", 12),
        ("<any=null>", {"x": 1}),
    ],
)
def test_same(expected: Any, got: Any) -> None:
    Bindings().match(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 1}),
        ("<time>", "now"),
        (["<session>", "<session>"], ["12345678.ab", "12345678.cd"]),
        (["<...>", 2], [2, 3]),
        ([1], [1, 2]),
        ([1, 2], [1]),
        ("<int>", "7"),
        ("<text>", ""),
    ],
)
def test_different(expected: Any, got: Any) -> None:
    with pytest.raises(Mismatch):
        Bindings().match(expected, got)


def test_requests_are_filled_with_what_was_met() -> None:
    bindings = Bindings()
    bindings.match({"id": "<id>", "n": "<int:seq>"}, {"id": "ab", "n": 5})
    assert bindings.fill({"params": ["<id>", "<int:seq>", "<b>"]}) == {"params": ["ab", 5, "<b>"]}


def test_documents_show_values_in_place_of_placeholders() -> None:
    shown = show({"a": "<int=9>", "b": "<text=x y>", "c": ["<...>", 1], "d": "<em>", "e": "<time>"})
    assert shown == {"a": 9, "b": "x y", "c": [1], "d": "<em>", "e": TIME}
