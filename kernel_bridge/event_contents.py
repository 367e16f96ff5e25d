"""What events carry in `content`, by type: the service's own structs, and the kernel's as Jupyter's protocol has them.

A kernel's content is stored as it came, whatever user code put into it: its structs describe, nothing enforces them.
Source: Jupyter messaging 5.4, "Messages on the IOPub channel" and "Messages on the stdin channel".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct

from kernel_bridge.results import CellEnd, Exit


class Event(Struct, frozen=True, omit_defaults=True):
    """One event of a session's log."""

    seq: int
    """its number in the session, from 1, without gaps, never used again"""
    cell: str | None
    """the cell that it belongs to; null for none"""
    time: str
    """when it was stored"""
    type: str
    """says what `content` is"""
    content: dict[str, Any]
    """what happened, by type"""
    buffers: list[str] = []
    """binary buffers, base64; left out when there are none"""
    late: bool = False
    """true when it came after the end of its cell, else left out; the cell's `outputs` do not have it"""
    repaired: bool = False
    """true when its text was no valid UTF-8 and had to be changed, else left out"""


class CellQueued(Struct, frozen=True):
    """A new cell: whose it is and the whole request, for front ends and recovery."""

    user: str
    """who evaluated it"""
    user_id: str
    params: dict[str, Any]
    """those of `evaluate`, without the token"""
    state: Literal["queued"] = "queued"
    """always `queued`"""


class CellChanged(Struct, frozen=True):
    """A change of a cell's state."""

    state: Literal["running", "waiting_input"]
    """what the cell does now"""


class CellEnded(Struct, frozen=True):
    """The last event of a cell, but for late output."""

    end: CellEnd
    """how it ended"""
    execution_count: int | None
    exit: Exit | None
    state: Literal["done"] = "done"
    """always `done`"""


class InputRequest(Struct, frozen=True):
    """The running cell asks for input: answer with input_reply."""

    id: str
    """for input_reply"""
    prompt: str
    """what `input()` was given"""
    password: bool
    """whether what is typed should not be seen: getpass"""


class Gap(Struct, frozen=True):
    """Output may be missing here."""

    reason: str
    """why"""


class Dropped(Struct, frozen=True):
    """Output that could not be stored: it is lost."""

    count: int
    """so many events"""
    bytes: int
    """content and buffers of those events"""
    reason: str
    """why"""


class Omitted(Struct, frozen=True):
    """In place of one event that is too large to be stored (setting `max_event_bytes`), or that was no JSON."""

    bytes: int
    """content and buffers of that event"""
    mime: str | None
    """its largest MIME type; null if it was no MIME bundle"""


class Removed(Struct, frozen=True, rename={"from_": "from"}):
    """In place of the oldest events, which retention removed. Made on reading, with seq = `to`, for every reader."""

    from_: int
    """the first one that is gone: 1"""
    to: int
    """the last one that is gone"""
    count: int
    """so many events"""
    bytes: int
    """of their lines in the log, newlines included"""


class Notice(Struct, frozen=True):
    """Something that the users of the session should know."""

    kind: str
    """for programs, which ignore those that they do not know: `kernel_started_anew`, `kernel_restarted`;
    `kernel_stop_ahead` and `kernel_stopped` for want of use, `kernel_end_ahead` and `kernel_ended` by
    `max_lifetime_s`; `session_close_ahead`, `session_closed`"""
    message: str
    """for people"""
    exit: Exit | None = None
    """how the kernel process before this one ended, if it died"""
    at: str | None = None
    """when it will happen, if it is announced (`..._ahead`)"""
    limit: str | None = None
    """of `limit_reached`: its name in `bridge.limits`"""


class ExecuteInputContent(Struct, frozen=True):
    """The kernel has begun with the cell."""

    code: str
    execution_count: int


class StreamContent(Struct, frozen=True):
    """Text on standard output or standard error. Long ones are stored as several events of at most 64 KiB."""

    name: Literal["stdout", "stderr"]
    """which of the two"""
    text: str
    """the text"""


class DisplayContent(Struct, frozen=True):
    """A rich output: a plot, a table, a widget."""

    data: dict[str, Any]
    """MIME bundle"""
    metadata: dict[str, Any]
    """by MIME type; a page text of IPython has `{"kernelwire": {"page": true}}`"""
    transient: dict[str, Any] = {}
    """`display_id`, if it may be updated"""


class ExecuteResultContent(Struct, frozen=True):
    """The value of the cell."""

    data: dict[str, Any]
    """MIME bundle"""
    metadata: dict[str, Any]
    """by MIME type"""
    execution_count: int


class ClearOutputContent(Struct, frozen=True):
    """The cell's outputs up to here are to be cleared."""

    wait: bool
    """not now, but when the next output comes"""


class ErrorContent(Struct, frozen=True):
    """An exception; or, from the service, `KernelStartFailed` with the last lines of the kernel's standard error, and
    `LimitReached` with the limit that ended the kernel, or for which the cell is interrupted."""

    ename: str
    """name of the exception"""
    evalue: str
    """its text"""
    traceback: list[str]
    """lines, with ANSI colours"""


class StatusContent(Struct, frozen=True):
    """What the kernel does, while it is at the cell."""

    execution_state: Literal["busy", "idle", "starting"]
    """`idle` is its last word on the cell"""


class CommOpenContent(Struct, frozen=True):
    """The kernel opens a comm: a widget."""

    comm_id: str
    """id of the comm"""
    target_name: str
    """what is to handle it in the front end"""
    data: dict[str, Any]
    """the comm's own"""


class CommContent(Struct, frozen=True):
    """The kernel says something on a comm, or closes it."""

    comm_id: str
    """id of the comm"""
    data: dict[str, Any]
    """the comm's own"""


@dataclass(frozen=True, slots=True)
class EventType:
    """`contents`: the structs that its content can be. `jupyter`: whether the name is Jupyter's."""

    contents: tuple[type[Struct], ...]
    jupyter: bool = False


EVENT_TYPES: Mapping[str, EventType] = MappingProxyType(
    {
        "cell": EventType((CellQueued, CellChanged, CellEnded)),
        "execute_input": EventType((ExecuteInputContent,), jupyter=True),
        "stream": EventType((StreamContent,), jupyter=True),
        "display_data": EventType((DisplayContent,), jupyter=True),
        "update_display_data": EventType((DisplayContent,), jupyter=True),
        "execute_result": EventType((ExecuteResultContent,), jupyter=True),
        "clear_output": EventType((ClearOutputContent,), jupyter=True),
        "error": EventType((ErrorContent,), jupyter=True),
        "status": EventType((StatusContent,), jupyter=True),
        "comm_open": EventType((CommOpenContent,), jupyter=True),
        "comm_msg": EventType((CommContent,), jupyter=True),
        "comm_close": EventType((CommContent,), jupyter=True),
        "input_request": EventType((InputRequest,)),
        "gap": EventType((Gap,)),
        "truncated": EventType((Removed,)),
        "dropped": EventType((Dropped,)),
        "omitted": EventType((Omitted,)),
        "notice": EventType((Notice,)),
    }
)
"""Every type of event that a log can have."""
