"""A result as `kernelwire call` shows it to a person: what is for standard output, what for standard error."""

import json
from typing import Any

from msgspec import Struct

from kernel_bridge.ansi import strip


class Shown(Struct, frozen=True):
    """`failed`: the cell ended otherwise than ok, or not within the `wait` of its call."""

    out: str
    err: str = ""
    failed: bool = False


def show(method: str, result: bytes, *, wait_s: float) -> Shown:
    """`wait_s`: what the caller was ready to wait for a cell; with 0 it is no failure that the cell still runs."""
    value: Any = json.loads(result)
    if method in ("evaluate", "get_cell"):
        return _cell(value, method == "evaluate" and wait_s > 0)
    if method == "complete":
        return Shown("".join(f"{match['text']}\n" for match in value["matches"]))
    if method == "inspect":
        return Shown(_line(value["text"])) if value["found"] else Shown("", "nothing is known by this name")
    return Shown(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n")


def _cell(cell: dict[str, Any], must_end: bool) -> Shown:
    text: str = cell["text"]
    if cell["end"] == "ok":
        return Shown(_line(text))
    if cell["end"] is None:
        return Shown(_line(text), _not_yet(cell["cell"], cell["state"]), failed=must_end)
    why = f" {json.dumps(cell['exit'])}" if cell["exit"] else ""
    ended = f"the cell {cell['cell']} ended: {cell['end']}{why}"
    trace = _trace(cell["outputs"])
    if not trace or not text.endswith(trace):
        return Shown(_line(text), ended, failed=True)
    return Shown(_line(text[: -len(trace)]), trace if cell["end"] == "error" else f"{trace}\n{ended}", failed=True)


def _not_yet(cell: str, state: str) -> str:
    if state == "waiting_input":
        answer = "kernelwire call input_reply id=INPUT_ID value=TEXT"
        return f"the cell {cell} waits for input: {answer}; `kernelwire call session_info` has the input_id"
    return f"the cell {cell} is {state}; see: kernelwire call get_cell cell={cell}"


def _trace(outputs: list[dict[str, Any]]) -> str:
    """The traceback of a cell that raised, as it stands at the end of the cell's text; "" if it does not."""
    last = outputs[-1] if outputs else {}
    return strip("\n".join(last["traceback"])) if last.get("output_type") == "error" else ""


def _line(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
