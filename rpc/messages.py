"""The params and results of every method, as the wire contract shows them.

Members stand in the order of positional params; only the first is promised. A member's `description` is what an
error says that it expected. Results of the bridge are in kernel_bridge.results.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

API_VERSION = "1.0"
"""The version of the wire contract: whoami and /healthz give it."""

_MIB = 1 << 20
_WEEK_S = 7 * 86400

Code = Annotated[str, Meta(description="a string of code")]
SessionId = Annotated[str, Meta(min_length=1, max_length=128, description="the id of a session")]
CellId = Annotated[
    str,
    Meta(
        # The dollar sign alone would let a newline pass at the end.
        pattern=r"^[A-Za-z0-9_-]{1,64}\Z",
        description="the id of a cell: 1 to 64 letters, digits, `_` or `-`",
    ),
]
KernelName = Annotated[str, Meta(min_length=1, max_length=128, description="the name of a kernelspec")]
Wait = Annotated[float, Meta(ge=0, le=300, description="a number of seconds from 0 to 300")]
Timeout = Annotated[float, Meta(gt=0, le=_WEEK_S, description=f"a number of seconds above 0, at most {_WEEK_S}")]
CursorPos = Annotated[
    int, Meta(ge=0, le=2**31, description="an integer from 0 to the length of `code`, in Unicode code points")
]
Cursor = Annotated[int, Meta(ge=0, le=2**63 - 1, description="an integer from 0: the last seq seen")]
Metadata = Annotated[dict[str, Any], Meta(description="an object, with numbers of at most 64 bits and little nesting")]
Expressions = Annotated[dict[str, str], Meta(description="an object of strings: names and expressions")]
Flag = Annotated[bool, Meta(description="true or false")]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No params."""


class LoginParams(Struct, frozen=True, forbid_unknown_fields=True):
    username: Annotated[str, Meta(min_length=1, max_length=256, description="a string of 1 to 256 characters")]
    password: Annotated[str, Meta(min_length=1, max_length=1024, description="a string of 1 to 1024 characters")]
    kernel: KernelName | None = None
    session: SessionId | None = None
    start: Flag = False


class EvaluateParams(Struct, frozen=True, forbid_unknown_fields=True):
    code: Code
    session: SessionId | None = None
    wait: Wait = 30.0
    cell: CellId | None = None
    metadata: Metadata | None = None
    silent: Flag = False
    store_history: Flag = True
    allow_stdin: Flag = False
    stop_on_error: Flag = True
    user_expressions: Expressions | None = None
    timeout: Timeout | None = None


class CompleteParams(Struct, frozen=True, forbid_unknown_fields=True):
    code: Code
    cursor_pos: CursorPos | None = None
    session: SessionId | None = None


class InspectParams(Struct, frozen=True, forbid_unknown_fields=True):
    code: Code
    cursor_pos: CursorPos | None = None
    detail_level: Annotated[int, Meta(ge=0, le=1, description="0 (as `?`) or 1 (as `??`)")] = 0
    session: SessionId | None = None


class PollOutputParams(Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor = 0
    session: SessionId | None = None
    cell: CellId | None = None
    wait: Wait = 25.0
    limit: Annotated[int, Meta(ge=1, le=10_000, description="an integer from 1 to 10000")] = 1000
    max_bytes: Annotated[int, Meta(ge=1024, le=16 * _MIB, description=f"an integer from 1024 to {16 * _MIB}")] = _MIB


class InterruptParams(Struct, frozen=True, forbid_unknown_fields=True):
    cell: CellId | None = None
    session: SessionId | None = None


class InputReplyParams(Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=128, description="the id of an input_request event")]
    value: Annotated[str, Meta(max_length=_MIB, description=f"a string of at most {_MIB} characters")]
    session: SessionId | None = None


class OpenSessionParams(Struct, frozen=True, forbid_unknown_fields=True):
    kernel: KernelName | None = None
    session: SessionId | None = None
    start: Flag = False


class ListSessionsParams(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=1000, description="an integer from 1 to 1000")] = 100
    after: Annotated[str, Meta(max_length=128, description="`after` of the page before")] | None = None


class CloseSessionParams(Struct, frozen=True, forbid_unknown_fields=True):
    session: SessionId | None = None
    delete: Flag = False


class GetCellParams(Struct, frozen=True, forbid_unknown_fields=True):
    cell: CellId
    session: SessionId | None = None


class LoggedIn(Struct, frozen=True):
    token: str
    session: str
    kernel: str
    """name of the kernelspec"""
    expires_at: str
    scopes: list[str]
    closed_session: str | None
    """the session that was closed to stay within the limit of sessions a user"""


class LoggedOut(Struct, frozen=True):
    revoked: bool = True


class Identity(Struct, frozen=True):
    user: str
    user_id: str
    session: str | None
    scopes: list[str]
    expires_at: str
    api: str = API_VERSION
