"""What a method may use: the services of the front, and who calls."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from msgspec import structs

from auth.audit import AuditLog, Fact
from auth.authenticator import ALL_SCOPES
from auth.errors import InvalidToken
from auth.revocations import Revocable
from auth.script_tokens import TokenPage, Wanted
from auth.tokens import Claims
from auth.users import User
from kernel_bridge import hop
from kernel_bridge.tracing import Span, Tracer
from rpc.errors import InvalidParams, MethodNotFound
from rpc.lifecycle import Lifecycle
from rpc.limits import AnswerBudget, Hold, LongPolls, OfUsers
from rpc.messages import Subscribed, SubscribeParams
from rpc.metrics import Metrics
from rpc.settings import RpcSettings

R = TypeVar("R")


class Bridge(Protocol):
    """The front's end of the hop; kernel_bridge.client.HostClient is the real one."""

    @property
    def ready(self) -> bool:
        """Whether the host answers."""
        ...

    @property
    def sandbox(self) -> str:
        """The sandbox of the host's kernels, in words; empty if the host has not said."""
        ...

    @property
    def notes(self) -> list[str]:
        """What is not as the host's settings say, in words."""
        ...

    async def call(self, request: hop.Request[R], *, timeout_s: float) -> hop.Answer[R]:
        """The host's answer. The request is sent before the first await; a cancelled call tells the host so.

        Raises kernel_bridge.errors; HostUnavailable after `timeout_s` seconds.
        """
        ...


class Authenticator(Protocol):
    """Users and tokens; auth.authenticator.Authenticator is the real one and says what is raised."""

    @property
    def database_up(self) -> bool: ...

    async def log_in(self, username: str, password: str, address: str = "") -> User: ...

    async def find_user(self, name: str) -> User | None: ...

    def issue(
        self, user: User, session: str | None, kernel: str | None, scopes: tuple[str, ...] = ALL_SCOPES
    ) -> tuple[str, Claims]: ...

    def check(self, token: str | None) -> Claims: ...

    async def revoke(self, token: Revocable) -> None: ...

    async def renew(self, claims: Claims) -> tuple[str, Claims]: ...

    async def end_all(self, claims: Claims) -> None: ...

    async def create_script_token(self, holder: Claims, wanted: Wanted) -> tuple[str, Claims]: ...

    async def script_tokens(self, holder: Claims, limit: int, after: str | None = None) -> TokenPage: ...

    async def revoke_script_token(self, holder: Claims, token_id: str) -> None: ...


class Peer(Protocol):
    """The WebSocket that a call came by; rpc.connection.Connection is the real one."""

    def adopt(self, token: str, instead_of: str | None) -> None:
        """Use `token` from now on: after a login for calls without one of their own, else where `instead_of` was."""
        ...

    async def subscribe(self, context: "Context", params: SubscribeParams) -> Subscribed:
        """Raises LimitExceeded and the host's errors."""
        ...

    async def unsubscribe(self, subscription: int) -> int:
        """The subscription's cursor. Raises InvalidParams."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What all calls of a front share. Whoever made `bridge` and `authenticator` closes them."""

    bridge: Bridge
    authenticator: Authenticator
    version: str
    """of the program, for /healthz"""
    worker: str
    """the front's name, for /healthz and /metrics; empty if nobody gave it one"""
    settings: RpcSettings
    lifecycle: Lifecycle
    long_polls: LongPolls
    calls: OfUsers
    metrics: Metrics
    audit: AuditLog
    tracer: Tracer | None = None
    """None while calls are not traced"""

    @classmethod
    def of(
        cls,
        bridge: Bridge,
        authenticator: Authenticator,
        version: str,
        settings: RpcSettings | None = None,
        tracer: Tracer | None = None,
        worker: str = "",
        audit: AuditLog | None = None,
    ) -> "Services":
        """Services of a front that begins. `audit`: None records nothing."""
        settings = settings or RpcSettings()
        return cls(
            bridge,
            authenticator,
            version,
            worker,
            settings,
            Lifecycle(),
            LongPolls(settings.long_polls),
            OfUsers("calls_at_once", settings.calls_at_once, "at most {} calls of one user may be under way at once"),
            Metrics(version, worker),
            audit or AuditLog(None),
            tracer,
        )


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request (or WebSocket message): what its calls have in common."""

    request_id: str
    token: str | None
    """of the Authorization header, or of the WebSocket"""
    claims: Claims | None
    """of that token, if it was checked"""
    budget: AnswerBudget
    peer: Peer | None = None
    """the WebSocket; None over HTTP"""
    sent: asyncio.Event | None = None
    """is set when every call has been sent to the host, so that nothing that is read later overtakes it"""
    traceparent: str | None = None
    """the client's span, as it came"""
    address: str = ""
    """the client's IP address; empty if it has none"""


@dataclass(slots=True)
class Context:
    """One call."""

    services: Services
    exchange: Exchange
    notification: bool
    holder: Claims | None = None
    """whose token it is; None for methods without one"""
    token: str | None = field(default=None, repr=False)
    """the token itself, for what goes on after the call"""
    session_id: str = ""
    """the session that the call is about, for the log"""
    span: Span | None = None
    """the call's span, if it is traced"""
    entered: bool = field(default=False)
    """the method has run up to its first await: what it asks of the host is sent"""

    @property
    def claims(self) -> Claims:
        """The token's claims. Raises InvalidToken where the registry says that a method needs none."""
        if self.holder is None:
            raise InvalidToken("missing")
        return self.holder

    @property
    def caller(self) -> hop.Caller:
        return hop.Caller(self.claims.user_id, self.claims.user)

    @property
    def request_id(self) -> str:
        return self.exchange.request_id

    def session(self, given: str | None) -> str:
        """The session that a call is about: the one it names, or the token's. Raises InvalidParams without either."""
        session = given or self.claims.session
        if session is None:
            raise InvalidParams("session", "the id of a session, as this token has none of its own", "nothing")
        self.session_id = session
        return session

    @property
    def peer(self) -> Peer:
        """The WebSocket. Raises MethodNotFound over HTTP."""
        if self.exchange.peer is None:
            raise MethodNotFound("subscriptions are for WebSockets: connect to GET /ws, or call poll_output")
        return self.exchange.peer

    def adopt(self, token: str) -> None:
        """A token was made by this call: the WebSocket that it came by, if it did, uses it from now on."""
        if self.exchange.peer is not None:
            self.exchange.peer.adopt(token, self.token)

    def waiting(self, wait_s: float) -> Hold:
        """Around what may wait for `wait_s` seconds: see LongPolls.hold."""
        return self.services.long_polls.hold(self.claims.user_id, wait_s, self.token or "")

    def record(self, event: str, **facts: Fact) -> None:
        """Note in the audit log what happened: by whom, from where, in which request."""
        if not self.services.audit.enabled:
            return
        who = {"user_id": self.holder.user_id, "user": self.holder.user} if self.holder is not None else {}
        self.services.audit.record(
            event, **{**who, "address": self.exchange.address, "request_id": self.request_id, **facts}
        )

    def wait_s(self, wait: float) -> float:
        """How long the answer may take: nobody waits for that of a notification."""
        return 0.0 if self.notification else wait

    async def ask(self, request: hop.Request[R], extra_s: float = 0.0) -> hop.Answer[R]:
        """The host's answer, at most `call_s` + `extra_s` seconds later. Raises kernel_bridge.errors."""
        if self.span is not None:
            request = structs.replace(request, traceparent=self.span.traceparent)
        return await self.services.bridge.call(request, timeout_s=self.services.settings.call_s + extra_s)
