"""The hop between front and host: what a front asks and how the host answers.

0MQ DEALER (front) -> ROUTER (host), one msgpack-encoded `Frame` a message. A front begins with `Hello`; the
host answers `Welcome` or `Refused`. A `Call` is answered by one `Reply` with the same id. `Ping` carries the
hello's facts again, so that a host that was replaced knows the front without a handshake.

Structs grow only by addition: new members get defaults, so protocol N and N-1 understand each other. The
results are JSON, encoded once by the host (see `RESULTS`) and spliced by the front into its own answer.
"""

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from kernel_bridge import kernel_results, results, worksheet_results
from kernel_bridge.comm_requests import CommClose, CommMsg, CommOpen
from kernel_bridge.hop_request import Caller as Caller
from kernel_bridge.hop_request import Request
from kernel_bridge.stats import Stats as HostStats
from kernel_bridge.worksheet_requests import ExportNotebook, GetCell, History, ListCells

PROTO = 1
"""Version of the hop. A host serves PROTO and PROTO - 1."""

R = TypeVar("R")


class OpenSession(Request[results.SessionOpened], frozen=True, tag="open_session"):
    """Open a new session, or attach to `session` (which opens a closed one again)."""

    kernel: str | None = None
    session: str | None = None
    start: bool = False


class Evaluate(Request[results.Cell], frozen=True, tag="evaluate"):
    session: str
    code: str
    wait: float = 30.0
    cell: str | None = None
    metadata: dict[str, Any] | None = None
    silent: bool = False
    store_history: bool = True
    allow_stdin: bool = False
    stop_on_error: bool = True
    user_expressions: dict[str, str] | None = None
    timeout: float | None = None


class Complete(Request[results.Completion], frozen=True, tag="complete"):
    session: str
    code: str
    cursor_pos: int | None = None


class Inspect(Request[results.Inspection], frozen=True, tag="inspect"):
    session: str
    code: str
    cursor_pos: int | None = None
    detail_level: int = 0


class PollOutput(Request[results.Page], frozen=True, tag="poll_output"):
    session: str
    cursor: int = 0
    cell: str | None = None
    wait: float = 25.0
    limit: int = 1000
    max_bytes: int = 1 << 20


class Interrupt(Request[results.Interruption], frozen=True, tag="interrupt"):
    session: str
    cell: str | None = None


class InputReply(Request[results.InputTaken], frozen=True, tag="input_reply"):
    session: str
    id: str
    value: str


class SessionInfo(Request[results.SessionInfo], frozen=True, tag="session_info"):
    session: str


class Restart(Request[kernel_results.Restarted], frozen=True, tag="restart"):
    session: str


class IsComplete(Request[kernel_results.CodeStatus], frozen=True, tag="is_complete"):
    session: str
    code: str


class KernelInfo(Request[kernel_results.KernelInfo], frozen=True, tag="kernel_info"):
    session: str


class ListKernels(Request[results.Kernelspecs], frozen=True, tag="list_kernels"):
    pass


class ListSessions(Request[results.SessionList], frozen=True, tag="list_sessions"):
    limit: int = 100
    after: str | None = None


class Stats(Request[HostStats], frozen=True, tag="stats"):
    """What the host has counted; asked for by the front itself, whose `caller` is nobody."""


class CloseSession(Request[results.SessionClosed], frozen=True, tag="close_session"):
    session: str
    delete: bool = False


class ShareSession(Request[results.SessionShares], frozen=True, tag="share_session"):
    """Let the user with this id into a session, or change what he may do there. `user`: his name at this time."""

    session: str
    user_id: str
    user: str
    access: results.SharedAccess


class UnshareSession(Request[results.SessionShares], frozen=True, tag="unshare_session"):
    """Let a user in no longer. `user`: his name at the time of sharing, in whatever case, or his id."""

    session: str
    user: str


CommRequest = CommOpen | CommMsg | CommClose
OfKernel = Complete | Inspect | IsComplete | KernelInfo | Restart | Interrupt | InputReply | CommRequest
OfWorksheet = Evaluate | PollOutput | GetCell | ListCells | History | ExportNotebook
Sharing = ShareSession | UnshareSession
InSession = SessionInfo | Sharing | OfKernel | OfWorksheet
AnyRequest = OpenSession | Stats | ListKernels | ListSessions | CloseSession | InSession

Wait = Evaluate | PollOutput | Complete | Inspect | IsComplete | KernelInfo | ListCells | History | ExportNotebook
"""requests whose answer alone is lost when their caller goes; the others change something and are done to the end"""

RESULTS: dict[type, type] = {
    OpenSession: results.SessionOpened,
    ListKernels: results.Kernelspecs,
    Stats: HostStats,
    ListSessions: results.SessionList,
    CloseSession: results.SessionClosed,
    ShareSession: results.SessionShares,
    UnshareSession: results.SessionShares,
    Evaluate: results.Cell,
    Complete: results.Completion,
    Inspect: results.Inspection,
    PollOutput: results.Page,
    Interrupt: results.Interruption,
    InputReply: results.InputTaken,
    GetCell: results.Cell,
    SessionInfo: results.SessionInfo,
    Restart: kernel_results.Restarted,
    IsComplete: kernel_results.CodeStatus,
    KernelInfo: kernel_results.KernelInfo,
    CommOpen: kernel_results.CommSent,
    CommMsg: kernel_results.CommSent,
    CommClose: kernel_results.CommSent,
    History: worksheet_results.History,
    ListCells: worksheet_results.CellList,
    ExportNotebook: worksheet_results.Notebook,
}
"""the struct that the answer to each request decodes to"""


class Hello(Struct, frozen=True, tag="hello"):
    proto: int
    version: str
    secret: bytes


class Ping(Struct, frozen=True, tag="ping"):
    proto: int
    version: str
    secret: bytes
    seq: int


class Call(Struct, frozen=True, tag="call"):
    """`instance`: the host that is meant. `expires`: CLOCK_MONOTONIC seconds, after which the caller may have given up.

    A host runs no call that is meant for another one or that has expired: its caller is told HostUnavailable and may
    ask again, so it would be run twice.
    """

    id: int
    request: AnyRequest
    instance: str = ""
    expires: float | None = None


class Cancel(Struct, frozen=True, tag="cancel"):
    """The caller is gone: whoever waits for call `id` may stop waiting. Cells run on."""

    id: int


class Welcome(Struct, frozen=True, tag="welcome"):
    proto: int
    version: str
    host_id: str
    instance: str
    """random at each start of a host: another one means that every call under way is gone"""
    sandbox: str = ""
    """the profile in force and what of it this machine can do, for people"""
    notes: list[str] = []
    """what is not as its settings say, in words for whoever runs it"""


HELLO_FIRST = "hello first"
"""why a call is refused that a front sent to the host's predecessor: it says hello then, and nothing is wrong"""


class Refused(Struct, frozen=True, tag="refused"):
    reason: str


class Pong(Struct, frozen=True, tag="pong"):
    seq: int
    instance: str


class Fault(Struct, frozen=True):
    """A BridgeError on its way: the name of its class and its arguments. Unknown exceptions: kind `internal`."""

    kind: str
    args: dict[str, Any]


class Reply(Struct, frozen=True, tag="reply"):
    id: int
    result: bytes | None = None
    """the result's JSON"""
    fault: Fault | None = None


FromFront = Hello | Ping | Call | Cancel
FromHost = Welcome | Refused | Pong | Reply


class Answer(Struct, Generic[R], frozen=True):
    """The host's answer to a Request[R]: its JSON, to be passed on as it is or decoded."""

    raw: bytes
    type: type[R]

    def decode(self) -> R:
        return msgspec.json.decode(self.raw, type=self.type)
