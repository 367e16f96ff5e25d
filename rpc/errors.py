"""The errors that a caller sees, and the one table from exceptions to codes.

    RpcError
    +-- ParseError         the body is no JSON
    +-- InvalidRequest     the JSON is no JSON-RPC request, or the HTTP request is none of ours
    +-- MethodNotFound
    +-- InvalidParams      one member of `params` is wrong

The errors of kernel_bridge and auth join them here. Whatever is not in the table is a defect of ours: -32603 with
the request id, and nothing of the exception.
"""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct, to_builtins

from auth import errors as auth_errors
from kernel_bridge import errors as bridge_errors

INTERNAL_ERROR = -32603


class RpcError(Exception):
    """Root of this package's tree. `str(error)` is a sentence that a user may read."""


class ParseError(RpcError):
    pass


class InvalidRequest(RpcError):
    pass


class MethodNotFound(RpcError):
    pass


class InvalidParams(RpcError):
    """`member` is wrong: `expected` says what would be right, `got` what came instead."""

    def __init__(self, member: str, expected: str, got: str | None = None) -> None:
        super().__init__(f"`{member}`: expected {expected}" + (f", got {got}" if got else ""))
        self.member = member
        self.expected = expected


class ErrorObject(Struct, frozen=True):
    """The `error` member of a response. JSON-RPC 2.0, section 5.1."""

    code: int
    message: str
    data: dict[str, Any] | None = None

    def as_member(self) -> dict[str, Any]:
        """As it is encoded: `data` is left out when there is none."""
        member: dict[str, Any] = {"code": self.code, "message": self.message}
        return member if self.data is None else {**member, "data": self.data}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table: `facts` are attributes of the exception that `data` shows; `when` it comes and what to do
    then, for the documents."""

    code: int
    name: str
    facts: tuple[str, ...] = ()
    when: str = ""


TABLE: dict[type[Exception], Entry] = {
    ParseError: Entry(-32700, "Parse error", when="the body is no JSON, or no UTF-8"),
    InvalidRequest: Entry(
        -32600,
        "Invalid Request",
        when="the JSON is no JSON-RPC request object, or the HTTP request is none that is served here",
    ),
    MethodNotFound: Entry(
        -32601, "Method not found", when="there is no such method; the message names one that is spelled nearly so"
    ),
    InvalidParams: Entry(
        -32602,
        "Invalid params",
        ("member", "expected"),
        when="one member of `params` is unknown, missing, out of range, or does not fit the session: mend the call",
    ),
    bridge_errors.InvalidArgument: Entry(
        -32602,
        "Invalid params",
        ("member", "expected", "newest"),
    ),
    auth_errors.LoginFailed: Entry(
        -32001,
        "LoginFailed",
        when="wrong user name or password, or the user is disabled: the same words for all of them",
    ),
    auth_errors.InvalidToken: Entry(
        -32002, "InvalidToken", ("reason",), when="there is no token, or it is no longer valid: log in"
    ),
    auth_errors.Forbidden: Entry(
        -32003, "Forbidden", ("scope",), when="the token does not have the scope of this method: use another one"
    ),
    bridge_errors.AccessDenied: Entry(
        -32003,
        "Forbidden",
        ("access",),
        when="the session is shared with you, but not for this (`access`: write, or owner): ask its owner",
    ),
    auth_errors.TooManyLogins: Entry(
        -32004, "RateLimited", ("retry_after_s",), when="too many at this moment: call again after `retry_after_s`"
    ),
    auth_errors.LoginThrottled: Entry(-32004, "RateLimited", ("retry_after_s",)),
    auth_errors.TooManyTokens: Entry(
        -32005, "LimitExceeded", ("limit", "value"), when="the user has as many long-lived tokens as may be: revoke one"
    ),
    bridge_errors.LimitExceeded: Entry(
        -32005,
        "LimitExceeded",
        ("limit", "value"),
        when="a limit of the settings is reached (`disk`: the cell could not be recorded): send less, wait, free some",
    ),
    auth_errors.BadTokenRequest: Entry(
        -32602,
        "Invalid params",
        ("member", "expected"),
    ),
    bridge_errors.SessionNotFound: Entry(
        -32010,
        "SessionNotFound",
        ("session", "closed"),
        when="no such session, or another user's; or a closed one where the call needs an open one: log in to it",
    ),
    bridge_errors.CellNotFound: Entry(-32011, "CellNotFound", ("cell",), when="the session has no such cell"),
    bridge_errors.KernelspecNotFound: Entry(
        -32012,
        "KernelspecNotFound",
        ("name", "available"),
        when="no such kernelspec is installed: choose one of `available`",
    ),
    bridge_errors.CellConflict: Entry(
        -32013, "CellConflict", ("cell",), when="the cell id belongs to a cell with other code: choose another one"
    ),
    bridge_errors.KernelStartFailed: Entry(
        -32020,
        "KernelStartFailed",
        ("exit", "stderr"),
        when="the kernel did not start; evaluate returns a cell that ended `start_failed`",
    ),
    bridge_errors.KernelDied: Entry(
        -32021,
        "KernelDied",
        ("exit",),
        when="the kernel died in the call, the next one starts anew; evaluate returns a cell that ended `kernel_died`",
    ),
    bridge_errors.KernelBusy: Entry(
        -32022,
        "KernelBusy",
        ("deadline_s",),
        when="the kernel did not answer in time, as code that holds the interpreter runs: call again later",
    ),
    bridge_errors.NotWaitingForInput: Entry(
        -32023,
        "NotWaitingForInput",
        when="no cell waits for this input: somebody else answered it, or its cell has ended",
    ),
    bridge_errors.ShuttingDown: Entry(
        -32040, "ShuttingDown", when="this front ends: call again, another one or the next answers"
    ),
    bridge_errors.HostUnavailable: Entry(
        -32041,
        "HostUnavailable",
        ("retry_after_s",),
        when="the host of the kernels does not answer; sessions and cells are kept: call again after `retry_after_s`",
    ),
    auth_errors.DatabaseUnavailable: Entry(
        -32042,
        "DatabaseUnavailable",
        ("retry_after_s",),
        when="the database of users and tokens does not answer; sessions go on. Call again after `retry_after_s`",
    ),
}

# A null `newest` says nothing: only a cursor beyond the log has one. Forbidden has one of `scope` and `access`.
OPTIONAL_FACTS = frozenset({"newest", "scope", "access"})


def is_known(error: Exception) -> bool:
    """Whether the table has the error; if not it is a defect, to be logged."""
    return _entry(error) is not None


def show(error: Exception, request_id: str) -> ErrorObject:
    """The error object for any exception. `request_id` is shown for defects only. Never raises."""
    entry = _entry(error)
    if entry is None:
        return ErrorObject(INTERNAL_ERROR, "Internal error", {"request_id": request_id})
    words = str(error)
    message = f"{entry.name}: {words}" if words else entry.name
    facts = {name: to_builtins(getattr(error, name, None)) for name in entry.facts}
    shown = {name: fact for name, fact in facts.items() if fact is not None or name not in OPTIONAL_FACTS}
    return ErrorObject(entry.code, message, shown or None)


def _entry(error: Exception) -> Entry | None:
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return None
