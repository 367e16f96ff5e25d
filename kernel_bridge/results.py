"""What the bridge answers: the results of shared calls, as the wire contract shows them.

Every struct here is encoded to JSON once, by the host, and passed on by the front as it is.
Absent facts are null, never left out. Times are RFC 3339 UTC with milliseconds, sizes bytes,
durations seconds, positions in code Unicode code points.
"""

from typing import Any, Literal

from msgspec import Raw, Struct

CellState = Literal["queued", "running", "waiting_input", "done"]
CellEnd = Literal[
    "ok",
    "error",
    "aborted",
    "interrupted",
    "cancelled",
    "timeout",
    "start_failed",
    "kernel_died",
    "restarted",
    "closed",
    "lost",
]
KernelState = Literal["none", "starting", "idle", "busy", "dead"]
InterruptStep = Literal["cancelled", "interrupt", "interrupt_again", "killed", "unheeded", "not_running"]
"""unheeded: interrupted twice without effect, and the settings forbid to kill; the cell runs on"""


class Exit(Struct, frozen=True):
    """How a kernel process ended. Unknown facts are null."""

    code: int | None = None
    signal: int | None = None
    oom: bool | None = None


class Truncated(Struct, frozen=True):
    """What is missing in a cell's folded outputs; the log may still have it."""

    bytes: int
    events: int


class Cell(Struct, frozen=True):
    """One evaluation: queued, run at most once, ended with a reason."""

    session: str
    cell: str
    code: str
    user: str
    user_id: str
    metadata: dict[str, Any]
    state: CellState
    end: CellEnd | None
    execution_count: int | None
    text: str
    outputs: list[dict[str, Any]]
    """notebook-format-4 outputs, streams joined"""
    outputs_truncated: Truncated | None
    user_expressions: dict[str, Any] | None
    payload: list[dict[str, Any]]
    cursor: int
    """the last seq folded into this answer"""
    queued_at: str
    started_at: str | None
    finished_at: str | None
    exit: Exit | None


class Match(Struct, frozen=True):
    """One completion: `text` replaces code[cursor_start:cursor_end] and never begins with the dot."""

    text: str
    type: str | None = None
    signature: str | None = None


class Completion(Struct, frozen=True):
    matches: list[Match]
    cursor_start: int
    cursor_end: int


class Inspection(Struct, frozen=True):
    found: bool
    name: str | None
    text: str
    data: dict[str, Any]
    """MIME bundle, as the kernel gave it"""
    docstring: str | None = None
    source: str | None = None
    signature: str | None = None
    file: str | None = None


class Page(Struct, frozen=True):
    """A page of a session's log. `events` are the stored lines, byte for byte."""

    events: list[Raw]
    cursor: int
    oldest: int
    kernel_state: KernelState
    done: bool | None


class Interruption(Struct, frozen=True):
    """Which step of an interrupt worked. `cell` is null when nothing ran."""

    cell: str | None
    step: InterruptStep
    end: CellEnd | None


class InputTaken(Struct, frozen=True):
    id: str
    accepted: bool = True


class Kernelspec(Struct, frozen=True):
    name: str
    display_name: str
    language: str
    preloaded: bool
    lossless: bool
    default: bool


class Kernelspecs(Struct, frozen=True):
    kernels: list[Kernelspec]


class SessionOpened(Struct, frozen=True):
    session: str
    kernel: str
    closed_session: str | None
    """the session that was closed to stay within the limit of sessions a user"""


class SessionInfo(Struct, frozen=True):
    session: str
    kernel: str
    """name of the kernelspec"""
    kernel_state: KernelState
    closed: bool
    queued: int
    running: str | None
    """id of the cell that runs"""
    newest: int
    """seq of the newest event, 0 when there is none"""
    created_at: str
    last_activity_at: str


class SessionList(Struct, frozen=True):
    sessions: list[SessionInfo]
    after: str | None
    """pass it as `after` for the next page; null on the last one"""


class SessionClosed(Struct, frozen=True):
    session: str
    closed: bool
    deleted: bool
