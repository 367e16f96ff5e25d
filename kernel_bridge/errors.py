"""The bridge's errors, by what the caller can do about them.

    BridgeError
    +-- InvalidArgument            mend the call
    +-- SessionNotFound            open another session (closed: attach to it again by log-in)
    +-- AccessDenied               ask its owner for more
    +-- CellNotFound
    +-- CellConflict               use another cell id
    +-- KernelspecNotFound         choose one of `available`
    +-- LimitExceeded              wait, or free something
    +-- KernelStartFailed          look at `exit` and `stderr`
    +-- KernelDied                 call again: the next evaluate starts a new kernel
    +-- KernelBusy                 call again later
    +-- NotWaitingForInput
    +-- HostUnavailable            call again after `retry_after_s`
    +-- ShuttingDown
    +-- WireError                  never leaves the bridge: the kernel sent rubbish
        +-- BadFrames
        +-- BadSignature

Facts are attributes. An error of the host crosses the hop as a `Fault` (hop.py) and is raised again
by the client as the class it was. rpc/errors.py alone gives them codes.
"""

from typing import Literal

from kernel_bridge.results import Exit


class BridgeError(Exception):
    """Root of the tree. `str(error)` is a sentence that a user may read."""


class InvalidArgument(BridgeError):
    """`member` of the call is wrong; `expected` says what would be right. `newest`: for a cursor beyond the log."""

    def __init__(self, member: str, expected: str, newest: int | None = None) -> None:
        super().__init__(f"`{member}`: expected {expected}")
        self.member = member
        self.expected = expected
        self.newest = newest


class SessionNotFound(BridgeError):
    """There is no such session of this user; or there is, but it is `closed` and the call needs an open one."""

    def __init__(self, session: str, closed: bool = False) -> None:
        hint = "the session is closed: attach to it by login(session) to open it again"
        super().__init__(hint if closed else "no such session")
        self.session = session
        self.closed = closed


class AccessDenied(BridgeError):
    """The session is shared with this user, but for less: the call needs the `access` write, or is the owner's."""

    def __init__(self, access: Literal["write", "owner"]) -> None:
        words = "the session is shared with you for reading only"
        super().__init__(words if access == "write" else "only the owner of a session may do this")
        self.access = access


class CellNotFound(BridgeError):
    def __init__(self, cell: str) -> None:
        super().__init__("no such cell in this session")
        self.cell = cell


class CellConflict(BridgeError):
    def __init__(self, cell: str) -> None:
        super().__init__("this cell id belongs to a cell with other code: choose another id")
        self.cell = cell


class KernelspecNotFound(BridgeError):
    def __init__(self, name: str, available: list[str]) -> None:
        super().__init__(f"no such kernelspec; available: {', '.join(available) or 'none'}")
        self.name = name
        self.available = available


class LimitExceeded(BridgeError):
    """`limit` names the setting that was reached, `value` is its value (None for the disk)."""

    def __init__(self, limit: str, value: int | float | None, message: str | None = None) -> None:
        super().__init__(message or f"limit reached: {limit} = {value}")
        self.message = message
        self.limit = limit
        self.value = value


class KernelStartFailed(BridgeError):
    """`stderr` holds the last lines that the kernel wrote there."""

    def __init__(self, exit: Exit, stderr: str) -> None:
        super().__init__("the kernel did not start")
        self.exit = exit
        self.stderr = stderr


class KernelDied(BridgeError):
    def __init__(self, exit: Exit) -> None:
        super().__init__("the kernel died")
        self.exit = exit


class KernelBusy(BridgeError):
    def __init__(self, deadline_s: float) -> None:
        super().__init__(f"the kernel did not answer within {deadline_s:g} s")
        self.deadline_s = deadline_s


class NotWaitingForInput(BridgeError):
    def __init__(self) -> None:
        super().__init__("no cell waits for this input: it was answered already, or its cell has ended")


class HostUnavailable(BridgeError):
    def __init__(self, retry_after_s: float = 1.0) -> None:
        super().__init__("the kernel host does not answer; sessions and queued cells are kept")
        self.retry_after_s = retry_after_s


class ShuttingDown(BridgeError):
    def __init__(self) -> None:
        super().__init__("the service is shutting down")


class WireError(BridgeError):
    """What came over 0MQ is no Jupyter message."""


class BadFrames(WireError):
    pass


class BadSignature(WireError):
    pass
