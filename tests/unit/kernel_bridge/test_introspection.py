"""Questions and replies of complete and inspect, without a kernel."""

import msgspec
import pytest

from kernel_bridge.errors import InvalidArgument
from kernel_bridge.introspection import Question, completion, inspection, question
from kernel_bridge.results import Completion, Inspection, Match
from kernel_bridge.wire import Message


def reply(content: object) -> Message:
    return Message("reply", "r", "q", msgspec.json.encode(content), b"{}")


@pytest.mark.parametrize(
    ("code", "position", "level", "expected"),
    [
        ("len", None, 0, Question("len", 3, 0)),
        ("len", 1, 1, Question("len", 1, 1)),
        ("len?", None, 1, Question("len", 3, 0)),
        ("len??", None, 0, Question("len", 3, 1)),
        ("?len", None, 1, Question("len", 3, 0)),
        ("??len", 3, 0, Question("len", 1, 1)),
        ("  ?len  ", None, 0, Question("len", 3, 0)),
        ("len ??  ", None, 0, Question("len ", 3, 1)),
        ("?", None, 0, Question("", 0, 0)),
        ("", None, 0, Question("", 0, 0)),
        ("x = '?'; len", None, 0, Question("x = '?'; len", 12, 0)),
    ],
)
def test_question_marks_set_the_level(code: str, position: int | None, level: int, expected: Question) -> None:
    assert question(code, position, level) == expected


def test_completion_leaves_question_marks_alone() -> None:
    assert question("a?", None) == Question("a?", 2, 0)


@pytest.mark.parametrize("position", [-1, 3])
def test_positions_are_checked_in_code_points(position: int) -> None:
    with pytest.raises(InvalidArgument) as error:
        question("🎉a", position)
    assert error.value.member == "cursor_pos"
    assert "from 0 to 2" in error.value.expected


def test_a_leading_dot_is_taken_off_with_its_position() -> None:
    asked = Question("os.pa", 5)
    content = {"matches": [".path", ".pardir"], "cursor_start": 2, "cursor_end": 5, "status": "ok"}
    assert completion(asked, reply(content)) == Completion([Match("path"), Match("pardir")], 3, 5)


def test_a_dot_that_is_no_attributes_stays() -> None:
    asked = Question("%run .hid", 9)
    content = {"matches": [".hidden"], "cursor_start": 5, "cursor_end": 9}
    found = completion(asked, reply(content))
    assert (found.matches, found.cursor_start) == ([Match("hidden")], 6)
    mixed = {"matches": [".a", "b"], "cursor_start": 5, "cursor_end": 9}
    assert completion(asked, reply(mixed)).matches == [Match(".a"), Match("b")]


def test_unknown_types_and_signatures_are_null() -> None:
    types = [{"text": "a", "type": "<unknown>", "signature": ""}, {"text": "b", "type": "function", "signature": "(x)"}]
    content = {
        "matches": ["a", "b", "c"],
        "cursor_start": 0,
        "cursor_end": 0,
        "metadata": {"_jupyter_types_experimental": types},
    }
    found = completion(Question("", 0), reply(content)).matches
    assert found == [Match("a"), Match("b", "function", "(x)"), Match("c")]


@pytest.mark.parametrize("content", [[], {"matches": 3}, {"status": "error", "ename": "X"}, None])
def test_a_malformed_or_failed_reply_is_an_empty_answer(content: object) -> None:
    assert completion(Question("a", 1), reply(content)).matches == []
    assert inspection(reply(content)) == Inspection(found=False, name=None, text="", data={})


def test_inspection_without_our_launcher_has_null_fields() -> None:
    content = {"status": "ok", "found": True, "data": {"text/plain": "\x1b[31mDoc\x1b[0m"}, "metadata": {}}
    found = inspection(reply(content))
    assert (found.text, found.name, found.docstring) == ("Doc", None, None)
    assert found.data == {"text/plain": "\x1b[31mDoc\x1b[0m"}
