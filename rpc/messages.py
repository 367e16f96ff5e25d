"""The params and results of every method, as the wire contract shows them.

Members stand in the order of positional params; only the first is promised. A member's `description` is what an
error says that it expected. Results of the bridge are in kernel_bridge.results.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

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
Scopes = Annotated[
    list[Literal["evaluate", "read", "manage"]],
    Meta(min_length=1, max_length=3, description="an array of one or more of `evaluate`, `read`, `manage`"),
]
UserName = Annotated[str, Meta(min_length=1, max_length=64, description="the name of a user")]
TokenName = Annotated[str, Meta(min_length=1, max_length=64, description="a string of 1 to 64 printable characters")]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No params."""


class LoginParams(Struct, frozen=True, forbid_unknown_fields=True):
    username: Annotated[str, Meta(min_length=1, max_length=256, description="a string of 1 to 256 characters")]
    """name of the user; upper and lower case are not told apart"""
    password: Annotated[str, Meta(min_length=1, max_length=1024, description="a string of 1 to 1024 characters")]
    """the user's password"""
    kernel: KernelName | None = None
    session: SessionId | None = None
    """a session to attach to, be it closed; without it a new one"""
    start: Flag = False


class EvaluateParams(Struct, frozen=True, forbid_unknown_fields=True):
    code: Code
    session: SessionId | None = None
    wait: Wait = 30.0
    """how long this answer may take: the cell as it is then comes back, and goes on"""
    cell: CellId | None = None
    """its id, and so an idempotency key: the same id with the same code returns the existing cell and runs nothing;
    without it the service makes one"""
    metadata: Metadata | None = None
    """comes back with the cell, for the client to find it again; at most 4 KiB"""
    silent: Flag = False
    """whether the kernel leaves out execution count, history and result"""
    store_history: Flag = True
    """whether the kernel counts it and keeps it in its history"""
    allow_stdin: Flag = False
    """whether `input()` may ask, by an input_request event"""
    stop_on_error: Flag = True
    """whether an exception aborts the cells that wait behind it"""
    user_expressions: Expressions | None = None
    """expressions to evaluate after the code, by name"""
    timeout: Timeout | None = None
    """how long the cell may run before it is interrupted, and killed if that does not help"""


class CompleteParams(Struct, frozen=True, forbid_unknown_fields=True):
    code: Code
    cursor_pos: CursorPos | None = None
    session: SessionId | None = None


class IsCompleteParams(Struct, frozen=True, forbid_unknown_fields=True):
    code: Code
    session: SessionId | None = None


class InspectParams(Struct, frozen=True, forbid_unknown_fields=True):
    code: Code
    cursor_pos: CursorPos | None = None
    detail_level: Annotated[int, Meta(ge=0, le=1, description="0 (as `?`) or 1 (as `??`)")] = 0
    """how much: as `?` or, with the source, as `??`"""
    session: SessionId | None = None


class PollOutputParams(Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor = 0
    """events with a greater seq come: give what the last answer said; 0 is everything kept"""
    session: SessionId | None = None
    cell: CellId | None = None
    """only events of this cell"""
    wait: Wait = 25.0
    """how long to wait for the first event"""
    limit: Annotated[int, Meta(ge=1, le=10_000, description="an integer from 1 to 10000")] = 1000
    max_bytes: Annotated[int, Meta(ge=1024, le=16 * _MIB, description=f"an integer from 1024 to {16 * _MIB}")] = _MIB
    """bound of the events together; one comes even if it is larger"""


class SubscribeParams(Struct, frozen=True, forbid_unknown_fields=True):
    session: SessionId | None = None
    cursor: Cursor = 0
    """events with a greater seq are sent; 0 is everything kept"""
    cell: CellId | None = None
    """only events of this cell"""


class UnsubscribeParams(Struct, frozen=True, forbid_unknown_fields=True):
    subscription: Annotated[int, Meta(ge=1, le=2**53, description="the id of a subscription of this WebSocket")]
    """what subscribe answered"""


class InterruptParams(Struct, frozen=True, forbid_unknown_fields=True):
    cell: CellId | None = None
    """the cell to interrupt; without it whatever runs"""
    session: SessionId | None = None


class InputReplyParams(Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=128, description="the id of an input_request event")]
    """from the event"""
    value: Annotated[str, Meta(max_length=_MIB, description=f"a string of at most {_MIB} characters")]
    """what was typed, without the newline"""
    session: SessionId | None = None


class OpenSessionParams(Struct, frozen=True, forbid_unknown_fields=True):
    kernel: KernelName | None = None
    session: SessionId | None = None
    """a session to attach to; without it a new one"""
    start: Flag = False


class ListSessionsParams(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=1000, description="an integer from 1 to 1000")] = 100
    after: Annotated[str, Meta(max_length=128, description="`after` of the page before")] | None = None


class InSessionParams(Struct, frozen=True, forbid_unknown_fields=True):
    """A session is all that the call is about."""

    session: SessionId | None = None


class CloseSessionParams(Struct, frozen=True, forbid_unknown_fields=True):
    session: SessionId | None = None
    delete: Flag = False
    """whether to remove record, log, cells and files too"""


class ShareSessionParams(Struct, frozen=True, forbid_unknown_fields=True):
    user: UserName
    """name of the user who is let in"""
    access: Annotated[Literal["read", "write"], Meta(description="`read` or `write`")] = "read"
    """`read`: to see cells and output; `write`: to run code, interrupt and answer input, too"""
    session: SessionId | None = None


class UnshareSessionParams(Struct, frozen=True, forbid_unknown_fields=True):
    user: UserName
    """name, or id, of a user with whom the session is shared"""
    session: SessionId | None = None


class CreateTokenParams(Struct, frozen=True, forbid_unknown_fields=True):
    scopes: Scopes
    """what the token may do: no more than the one that makes it"""
    name: TokenName | None = None
    """what list_tokens shows, for people"""
    expires_in_s: Annotated[float, Meta(ge=1, description="a number of seconds from 1")] | None = None
    """how long it is valid; by default 90 days, by setting"""
    expires_at: Annotated[datetime, Meta(tz=True, description="a time to come, in RFC 3339 with its zone")] | None = (
        None
    )
    """the same as a time; not both"""


class ListTokensParams(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=1000, description="an integer from 1 to 1000")] = 100
    after: Annotated[str, Meta(max_length=128, description="`after` of the page before")] | None = None


class RevokeTokenParams(Struct, frozen=True, forbid_unknown_fields=True):
    token_id: Annotated[str, Meta(min_length=1, max_length=64, description="the id of one of your long-lived tokens")]
    """`token_id` of list_tokens"""


class LoggedIn(Struct, frozen=True):
    token: str
    session: str
    kernel: str
    """name of the kernelspec"""
    expires_at: str
    scopes: list[str]
    closed_session: str | None
    """the session that was closed to stay within the limit of sessions a user"""


class Subscribed(Struct, frozen=True):
    subscription: int
    """its id, which its notifications carry"""
    session: str
    cursor: int
    """where it begins"""


class Unsubscribed(Struct, frozen=True):
    subscription: int
    """its id"""
    cursor: int
    """the last seq that was sent: go on from here without loss or repeat"""


class SubscriptionEnded(Struct, frozen=True):
    """Params of the notification `subscription_ended`: what the service itself ended, and the error object why."""

    subscription: int
    """its id"""
    session: str
    cursor: int
    """the last seq that was sent"""
    error: dict[str, Any]
    """the error object"""


class LoggedOut(Struct, frozen=True):
    revoked: bool = True
    """always true: the token is no longer valid"""


class Refreshed(Struct, frozen=True):
    token: str
    session: str
    kernel: str | None
    """name of the kernelspec"""
    expires_at: str
    scopes: list[str]


class TokenInfo(Struct, frozen=True):
    """A long-lived token, without the token itself."""

    token_id: str
    name: str | None
    """as create_token got it"""
    scopes: list[str]
    created_at: str
    expires_at: str


class TokenCreated(Struct, frozen=True):
    """A new long-lived token; `token` is shown this once."""

    token: str
    token_id: str
    name: str | None
    """as create_token got it"""
    scopes: list[str]
    created_at: str
    expires_at: str


class TokenList(Struct, frozen=True):
    tokens: list[TokenInfo]
    """those that are valid, oldest first"""
    after: str | None


class TokenRevoked(Struct, frozen=True):
    token_id: str
    revoked: bool = True
    """always true: the token is no longer valid"""


class Identity(Struct, frozen=True):
    user: str
    user_id: str
    session: str | None
    scopes: list[str]
    expires_at: str
    api: str = API_VERSION
    """version of this API"""
