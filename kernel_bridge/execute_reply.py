"""What an execute_reply says of its cell. Only `status` decides; the rest is taken if it is what the protocol allows.

Source: Jupyter messaging protocol, "Execution results" and "Payloads (DEPRECATED)".
"""

from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from kernel_bridge.mending import Unmendable, mend, too_deep

MAX_BYTES = 16 << 20
"""of a larger reply only the status is kept: payload and expressions are no way around the bounds of outputs"""
TEXT_CHARACTERS = 500

Status = Literal["ok", "error", "aborted"]


class ExecuteReply(Struct, frozen=True):
    status: Status = "error"
    execution_count: int | None = None
    user_expressions: dict[str, Any] | None = None
    payload: list[dict[str, Any]] = []
    ename: str = ""
    """of a reply that is an error: the exception's name"""
    evalue: str = ""
    """its text, the first characters of it"""


class _StatusOnly(Struct, frozen=True):
    status: str = ""


def read(content: bytes) -> ExecuteReply:
    """The reply in `content`, however odd a kernel made it; a reply without a readable status is an error."""
    if len(content) > MAX_BYTES:
        return ExecuteReply(_status(_decode_status(content)))
    try:
        fields = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        try:
            fields = mend(content).fields
        except Unmendable:
            return ExecuteReply()
    if too_deep(fields):
        return ExecuteReply(_status(fields.get("status")))
    return ExecuteReply(
        _status(fields.get("status")),
        _count(fields.get("execution_count")),
        _expressions(fields.get("user_expressions")),
        _payload(fields.get("payload")),
        _text(fields.get("ename")),
        _text(fields.get("evalue")),
    )


def _decode_status(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_StatusOnly).status
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return ""


def _status(said: object) -> Status:
    if said == "ok":
        return "ok"
    return "aborted" if said in ("aborted", "abort") else "error"


def _text(said: object) -> str:
    return said[:TEXT_CHARACTERS] if isinstance(said, str) else ""


def _count(said: object) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def _expressions(said: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", said) if isinstance(said, dict) else None


def _payload(said: object) -> list[dict[str, Any]]:
    items = cast("list[object]", said) if isinstance(said, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
