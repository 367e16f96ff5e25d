"""What a method may use: the services of the front, and who calls."""

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from auth.authenticator import ALL_SCOPES
from auth.errors import InvalidToken
from auth.tokens import Claims
from auth.users import User
from kernel_bridge import hop
from rpc.errors import InvalidParams
from rpc.lifecycle import Lifecycle
from rpc.limits import AnswerBudget, LongPolls
from rpc.settings import RpcSettings

R = TypeVar("R")


class Bridge(Protocol):
    """The front's end of the hop; kernel_bridge.client.HostClient is the real one."""

    @property
    def ready(self) -> bool:
        """Whether the host answers."""
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

    async def log_in(self, username: str, password: str) -> User: ...

    def issue(
        self, user: User, session: str | None, kernel: str | None, scopes: tuple[str, ...] = ALL_SCOPES
    ) -> tuple[str, Claims]: ...

    def check(self, token: str | None) -> Claims: ...

    async def revoke(self, claims: Claims) -> None: ...


@dataclass(frozen=True, slots=True)
class Services:
    """What all calls of a front share. Whoever made `bridge` and `authenticator` closes them."""

    bridge: Bridge
    authenticator: Authenticator
    version: str
    """of the program, for /healthz"""
    settings: RpcSettings
    lifecycle: Lifecycle
    long_polls: LongPolls

    @classmethod
    def of(
        cls, bridge: Bridge, authenticator: Authenticator, version: str, settings: RpcSettings | None = None
    ) -> "Services":
        """Services of a front that begins."""
        settings = settings or RpcSettings()
        return cls(bridge, authenticator, version, settings, Lifecycle(), LongPolls(settings.long_polls))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request (or WebSocket message): what its calls have in common."""

    request_id: str
    token: str | None
    """of the Authorization header"""
    claims: Claims | None
    """of that token, if it was checked"""
    budget: AnswerBudget


@dataclass(slots=True)
class Context:
    """One call."""

    services: Services
    exchange: Exchange
    notification: bool
    holder: Claims | None = None
    """whose token it is; None for methods without one"""
    session_id: str = ""
    """the session that the call is about, for the log"""
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

    def wait_s(self, wait: float) -> float:
        """How long the answer may take: nobody waits for that of a notification."""
        return 0.0 if self.notification else wait

    async def ask(self, request: hop.Request[R], extra_s: float = 0.0) -> hop.Answer[R]:
        """The host's answer, at most `call_s` + `extra_s` seconds later. Raises kernel_bridge.errors."""
        return await self.services.bridge.call(request, timeout_s=self.services.settings.call_s + extra_s)
