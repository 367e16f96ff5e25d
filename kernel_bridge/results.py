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
SharedAccess = Literal["read", "write"]
"""`read`: to see cells and output; `write`: to run code and all that belongs to it, too"""
Access = Literal["read", "write", "owner"]
InterruptStep = Literal["cancelled", "interrupt", "interrupt_again", "killed", "unheeded", "not_running"]
"""unheeded: interrupted twice without effect, and the settings forbid to kill; the cell runs on"""


class Exit(Struct, frozen=True):
    """How a kernel process ended. Unknown facts are null."""

    code: int | None = None
    """its exit code"""
    signal: int | None = None
    """the signal that ended it"""
    oom: bool | None = None
    """whether it was ended because memory had run out; null where nobody counts that"""
    limit: str | None = None
    """the limit that ended it, by its name in `bridge.limits`: memory_bytes, cpu_s, file_bytes"""


class Truncated(Struct, frozen=True):
    """What is missing in a cell's folded outputs; the log may still have it."""

    bytes: int
    """of the outputs that are missing here; an upper bound if retention had removed them when the host died"""
    events: int
    """output events that are missing here; an upper bound if retention had removed them when the host died"""
    at: int = 0
    """before which of `outputs` it is missing"""


class Cell(Struct, frozen=True):
    """One evaluation: queued, run at most once, ended with a reason."""

    session: str
    cell: str
    code: str
    user: str
    user_id: str
    metadata: dict[str, Any]
    """that of the request"""
    state: CellState
    """what the cell does"""
    end: CellEnd | None
    """how it ended, null before that. `ok`, `error`: the code did. `aborted`: it waited when a cell before it failed or
    its kernel was ended. `cancelled`: taken from the queue by interrupt. `interrupted`: by interrupt; the kernel was
    killed for it if `exit` is there, and variables are gone. `timeout`: it ran longer than its `timeout`.
    `start_failed`, `kernel_died`: see `exit`; what the kernel printed in its last moment may not have left it.
    `restarted`, `closed`: by restart, by close_session or culling. `lost`: the host was down, and the outcome is not
    known; cells that waited are run"""
    execution_count: int | None
    text: str
    """what a terminal would show of the outputs, without ANSI codes"""
    outputs: list[dict[str, Any]]
    """notebook-format-4 outputs, streams joined. Output that came after the end of the cell (`late` events) is in the
    log only"""
    outputs_truncated: Truncated | None
    """what is missing in `outputs`, which are bounded; null if nothing is"""
    user_expressions: dict[str, Any] | None
    """the kernel's answers by name; null before the end"""
    payload: list[dict[str, Any]]
    """the kernel's payload: `set_next_input`, pages of IPython"""
    cursor: int
    """the last seq folded into this answer"""
    queued_at: str
    """when it was taken in"""
    started_at: str | None
    """when it began to run; null before that"""
    finished_at: str | None
    """when it ended; null before that"""
    exit: Exit | None
    queued_seq: int = 0
    """seq of its first event: a session's cells are in this order, and poll_output reads them from one before it"""
    silent: bool = False
    """that of the request"""
    store_history: bool = True
    """that of the request"""
    displays: dict[str, list[int]] = {}
    """by display_id the places in `outputs` that an update_display_data event changes, of whichever cell"""


class Match(Struct, frozen=True):
    """One completion: `text` replaces code[cursor_start:cursor_end] and never begins with the dot."""

    text: str
    """what to put there"""
    type: str | None = None
    """function, module, keyword, ...; null if the kernel does not say"""
    signature: str | None = None
    """of a function; null if the kernel does not say"""


class Completion(Struct, frozen=True):
    matches: list[Match]
    """what may stand there"""
    cursor_start: int
    """where the text to be replaced begins"""
    cursor_end: int
    """where it ends"""


class Inspection(Struct, frozen=True):
    found: bool
    """whether anything is known"""
    name: str | None
    """the name that was looked up"""
    text: str
    """all of it as text, without ANSI codes"""
    data: dict[str, Any]
    """MIME bundle, as the kernel gave it"""
    docstring: str | None = None
    """null if there is none or the kernel does not say"""
    source: str | None = None
    """the source code, at `detail_level` 1; else null"""
    signature: str | None = None
    """of a callable; null if the kernel does not say"""
    file: str | None = None
    """where it is defined; null if the kernel does not say"""


class Page(Struct, frozen=True):
    """A page of a session's log. `events` are the stored lines, byte for byte."""

    events: list[Raw]
    """the events, in order"""
    cursor: int
    """the last seq that was looked at: give it to the next call"""
    oldest: int
    """the smallest seq that is kept"""
    kernel_state: KernelState
    done: bool | None
    """with `cell`: whether it has ended and all its events were returned; null without"""


class Interruption(Struct, frozen=True):
    """Which step of an interrupt worked. `cell` is null when nothing ran."""

    cell: str | None
    step: InterruptStep
    """which step worked; `unheeded`: none, and the settings forbid to kill; `not_running`: nothing ran"""
    end: CellEnd | None


class InputTaken(Struct, frozen=True):
    id: str
    """that of the request"""
    accepted: bool = True
    """always true: the first answer wins, later ones are errors"""


class Kernelspec(Struct, frozen=True):
    name: str
    """for the param `kernel`"""
    display_name: str
    """for people"""
    language: str
    """of the code"""
    preloaded: bool
    """whether it starts from a process that has everything imported"""
    lossless: bool
    """whether no output can be lost between the kernel and the log (our launcher)"""
    default: bool
    """whether it is the one without the param `kernel`"""


class Kernelspecs(Struct, frozen=True):
    kernels: list[Kernelspec]
    """by name"""


class SessionOpened(Struct, frozen=True):
    session: str
    kernel: str
    closed_session: str | None
    """the session that was closed to stay within the limit of sessions a user"""


class Share(Struct, frozen=True):
    """One user with whom a session is shared."""

    user_id: str
    user: str
    access: SharedAccess
    """`read`: cells and output; `write`: to run code, interrupt and answer input, too"""


class SessionShares(Struct, frozen=True):
    session: str
    shares: list[Share]
    """all users with whom it is shared now, in the order in which they came"""


class SessionInfo(Struct, frozen=True):
    session: str
    kernel: str
    """name of the kernelspec"""
    kernel_state: KernelState
    closed: bool
    """whether it is closed: it can be read, and log-in opens it again"""
    queued: int
    """cells that wait"""
    running: str | None
    """id of the cell that runs"""
    newest: int
    """seq of the newest event, 0 when there is none"""
    created_at: str
    last_activity_at: str
    """when something was last evaluated, completed, inspected or answered"""
    language: str | None = None
    """of the kernel, once one has said so"""
    lossless: bool | None = None
    """whether the kernel never drops output; null until one has run"""
    input_id: str | None = None
    """what the running cell waits for, for input_reply"""
    cells: int = 0
    """how many cells the worksheet has"""
    owner: str = ""
    """user id of its owner"""
    access: Access = "owner"
    """what you may do in it"""
    shares: list[Share] = []
    """with whom it is shared; only its owner sees that"""


class SessionList(Struct, frozen=True):
    sessions: list[SessionInfo]
    """a page of them"""
    after: str | None
    """pass it as `after` for the next page; null on the last one"""


class SessionClosed(Struct, frozen=True):
    session: str
    closed: bool
    """always true"""
    deleted: bool
    """whether all that was kept of it is removed"""
