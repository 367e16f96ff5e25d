"""What a person sees of a result."""

import json
from typing import Any

import pytest

from kernelwire.call_result import Shown, show

CELL: dict[str, Any] = {
    "cell": "c1",
    "code": "1",
    "state": "done",
    "end": "ok",
    "text": "42",
    "outputs": [],
    "exit": None,
}
RED = "\x1b[31mValueError\x1b[0m: no"
RAISED = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["Traceback", RED]}


def _show(method: str, result: Any, wait_s: float = 30) -> Shown:
    return show(method, json.dumps(result).encode(), wait_s=wait_s)


@pytest.mark.parametrize(("text", "out"), [("42", "42\n"), ("a\n", "a\n"), ("", "")])
def test_a_cell(text: str, out: str) -> None:
    assert _show("evaluate", {**CELL, "text": text}) == Shown(out)


def test_a_cell_that_raised() -> None:
    cell = {**CELL, "end": "error", "text": "before\nTraceback\nValueError: no", "outputs": [RAISED]}
    assert _show("evaluate", cell) == Shown("before\n", "Traceback\nValueError: no", failed=True)
    assert _show("get_cell", cell).failed
    stopped = _show("get_cell", {**cell, "end": "interrupted"})
    assert stopped.err == "Traceback\nValueError: no\nthe cell c1 ended: interrupted"
    # what came after the error is not lost
    late = {**cell, "text": "Traceback\nValueError: no\nlate"}
    assert _show("evaluate", late) == Shown(
        "Traceback\nValueError: no\nlate\n", "the cell c1 ended: error", failed=True
    )


def test_a_cell_whose_kernel_died() -> None:
    cell = {**CELL, "end": "kernel_died", "text": "", "exit": {"code": None, "signal": 9, "oom": None}}
    shown = _show("evaluate", cell)
    assert (shown.out, shown.failed) == ("", True)
    assert "kernel_died" in shown.err
    assert '"signal": 9' in shown.err


def test_a_cell_that_runs() -> None:
    cell = {**CELL, "state": "running", "end": None}
    assert _show("evaluate", cell).failed
    assert "get_cell cell=c1" in _show("evaluate", cell).err
    # who does not know of input_reply is told
    waiting = _show("evaluate", {**cell, "state": "waiting_input"}).err
    assert "input_reply id=" in waiting
    assert "session_info" in waiting
    # to wait for nothing was the caller's wish
    assert not _show("evaluate", cell, wait_s=0).failed
    assert not _show("get_cell", cell).failed


def test_others() -> None:
    matches = [{"text": "append", "type": None, "signature": None}, {"text": "apply", "type": None, "signature": None}]
    assert _show("complete", {"matches": matches, "cursor_start": 0, "cursor_end": 1}) == Shown("append\napply\n")
    assert _show("inspect", {"found": True, "text": "Docstring"}) == Shown("Docstring\n")
    assert _show("inspect", {"found": False, "text": ""}).out == ""
    assert _show("whoami", {"user": "ä"}) == Shown('{\n  "user": "ä"\n}\n')
    assert _show("a_method_of_tomorrow", [1]) == Shown("[\n  1\n]\n")
