from typing import Any

import pytest

from kernel_bridge.errors import LimitExceeded
from rpc.errors import InvalidParams
from rpc.limits import AnswerBudget, LongPolls, check_code, check_metadata
from rpc.settings import RpcSettings


def test_long_polls_are_counted_by_user_and_given_back() -> None:
    polls = LongPolls(2)
    with polls.hold("u1", 1), polls.hold("u1", 1):
        with pytest.raises(LimitExceeded) as caught, polls.hold("u1", 1):
            pass
        assert (caught.value.limit, caught.value.value) == ("long_polls", 2)
        assert polls.waiting == 2
        with polls.hold("u2", 1), polls.hold("u1", 0):
            assert polls.waiting == 3
    assert polls.waiting == 0


def test_an_error_gives_the_place_back() -> None:
    polls = LongPolls(1)
    with pytest.raises(RuntimeError), polls.hold("u1", 1):
        raise RuntimeError
    assert polls.waiting == 0


@pytest.mark.parametrize(
    ("code", "expressions", "fits"),
    [
        ("x" * 8, None, True),
        ("x" * 9, None, False),
        ("é" * 4, None, True),
        ("é" * 5, None, False),
        ("😀" * 2, None, True),
        ("😀" * 3, None, False),
        ("", None, True),
        ("x" * 6, {"a": "b"}, True),
        ("x" * 6, {"ab": "b"}, False),
    ],
)
def test_code_is_measured_in_utf8(code: str, expressions: dict[str, str] | None, fits: bool) -> None:
    settings = RpcSettings(code_bytes=8)
    if fits:
        check_code(settings, code, expressions)
    else:
        with pytest.raises(LimitExceeded) as caught:
            check_code(settings, code, expressions)
        assert (caught.value.limit, caught.value.value) == ("code_bytes", 8)


def test_metadata_is_measured_as_json() -> None:
    settings = RpcSettings(metadata_bytes=9)
    check_metadata(settings, None)
    check_metadata(settings, {"a": "b"})
    with pytest.raises(LimitExceeded) as caught:
        check_metadata(settings, {"a": "bc"})
    assert caught.value.limit == "metadata_bytes"


def nested(levels: int) -> dict[str, Any]:
    inner: Any = 1
    for level in range(levels - 1):
        inner = [inner] if level % 2 else {"a": inner}
    return {"a": inner}


def test_metadata_must_survive_the_hop() -> None:
    settings = RpcSettings()
    check_metadata(settings, {"a": 2**63, "b": -(2**63), "c": 1.5})
    with pytest.raises(InvalidParams, match="64 bits"):
        check_metadata(settings, {"a": 2**64})
    check_metadata(settings, nested(100))
    for levels in (101, 5000):
        with pytest.raises(InvalidParams, match="nesting"):
            check_metadata(settings, nested(levels))


def test_the_first_result_is_always_within_the_budget() -> None:
    budget = AnswerBudget(10)
    budget.take(100)
    with pytest.raises(LimitExceeded):
        budget.take(1)
