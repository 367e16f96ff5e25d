"""A bridge and an authenticator that live in the test's process."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec

from auth.authenticator import ALL_SCOPES
from auth.errors import DatabaseUnavailable, InvalidToken, LoginFailed
from auth.revocations import Revocable
from auth.script_tokens import TokenPage, Wanted
from auth.tokens import Claims
from auth.users import User
from kernel_bridge import hop, kernel_results, results, worksheet_results
from kernel_bridge.stats import Stats
from rpc.context import Services
from rpc.dispatch import Dispatcher
from rpc.methods import REGISTRY
from rpc.settings import RpcSettings

R = TypeVar("R")

TOKEN = "kw_good"
READ_TOKEN = "kw_read"
BARE_TOKEN = "kw_bare"
EXPIRED_TOKEN = "kw_expired"
REVOKED_TOKEN = "kw_revoked"
SESSION = "abcd1234.own"
PASSWORD = "correct horse"
EXPIRES_AT = 1_800_000_000

ANN = User("u1", "ann", disabled=False, generation=1, created_at=datetime(2026, 1, 1, tzinfo=UTC))
BEN = User("u2", "ben", disabled=False, generation=1, created_at=datetime(2026, 1, 1, tzinfo=UTC))


def cell(**changes: Any) -> results.Cell:
    facts: dict[str, Any] = {
        "session": SESSION,
        "cell": "c1",
        "code": "1+1",
        "user": "ann",
        "user_id": "u1",
        "metadata": {},
        "state": "done",
        "end": "ok",
        "execution_count": 1,
        "text": "2",
        "outputs": [],
        "outputs_truncated": None,
        "user_expressions": None,
        "payload": [],
        "cursor": 4,
        "queued_at": "2026-11-01T00:00:00.000Z",
        "started_at": None,
        "finished_at": None,
        "exit": None,
    }
    return results.Cell(**{**facts, **changes})


RESULTS: dict[type[Any], type[Any]] = {
    hop.OpenSession: results.SessionOpened,
    hop.Evaluate: results.Cell,
    hop.Complete: results.Completion,
    hop.Inspect: results.Inspection,
    hop.PollOutput: results.Page,
    hop.Interrupt: results.Interruption,
    hop.InputReply: results.InputTaken,
    hop.ListKernels: results.Kernelspecs,
    hop.ListSessions: results.SessionList,
    hop.CloseSession: results.SessionClosed,
    hop.ShareSession: results.SessionShares,
    hop.UnshareSession: results.SessionShares,
    hop.GetCell: results.Cell,
    hop.Stats: Stats,
    hop.SessionInfo: results.SessionInfo,
    hop.Restart: kernel_results.Restarted,
    hop.IsComplete: kernel_results.CodeStatus,
    hop.KernelInfo: kernel_results.KernelInfo,
    hop.CommOpen: kernel_results.CommSent,
    hop.CommMsg: kernel_results.CommSent,
    hop.CommClose: kernel_results.CommSent,
    hop.History: worksheet_results.History,
    hop.ListCells: worksheet_results.CellList,
    hop.ExportNotebook: worksheet_results.Notebook,
}


@dataclass
class FakeBridge:
    """Answers from `answers` by the request's class: a struct, an exception, raw JSON, or a function making one.

    What it was asked stands in `asked`, from before the first await. While `gate` is closed, nobody is answered.
    """

    answers: dict[type[Any], Any] = field(default_factory=dict[type[Any], Any])
    asked: list[hop.Request[Any]] = field(default_factory=list[hop.Request[Any]])
    timeouts_s: list[float] = field(default_factory=list[float])
    cancelled: list[hop.Request[Any]] = field(default_factory=list[hop.Request[Any]])
    ready: bool = True
    sandbox: str = "strict; namespaces, landlock, seccomp"
    notes: list[str] = field(default_factory=list[str])
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """something was asked"""

    def __post_init__(self) -> None:
        self.gate.set()
        self.answers = {
            hop.Evaluate: cell(),
            hop.GetCell: cell(),
            hop.OpenSession: results.SessionOpened(SESSION, "python3", None),
            hop.ListSessions: results.SessionList([], None),
            hop.CloseSession: results.SessionClosed(SESSION, closed=True, deleted=False),
            hop.ShareSession: results.SessionShares(SESSION, []),
            hop.UnshareSession: results.SessionShares(SESSION, []),
            hop.Complete: results.Completion([], 0, 0),
            hop.Inspect: results.Inspection(False, None, "", {}),
            hop.PollOutput: results.Page([], 0, 0, "none", None),
            hop.Interrupt: results.Interruption(None, "not_running", None),
            hop.InputReply: results.InputTaken("i1"),
            hop.ListKernels: results.Kernelspecs([]),
            hop.SessionInfo: results.SessionInfo(SESSION, "python3", "none", False, 0, None, 0, "", ""),
            hop.Restart: kernel_results.Restarted(SESSION, "python3", None, 0, None),
            hop.IsComplete: kernel_results.CodeStatus("complete", ""),
            hop.KernelInfo: kernel_results.KernelInfo("5.3", "ipython", "9", {}, "", [], [], lossless=True),
            hop.CommOpen: kernel_results.CommSent("m"),
            hop.CommMsg: kernel_results.CommSent("m"),
            hop.CommClose: kernel_results.CommSent("m"),
            hop.History: worksheet_results.History([], None),
            hop.ListCells: worksheet_results.CellList([], None),
            hop.ExportNotebook: worksheet_results.Notebook([], {}),
            **self.answers,
        }

    async def call(self, request: hop.Request[R], *, timeout_s: float) -> hop.Answer[R]:
        self.asked.append(request)
        self.timeouts_s.append(timeout_s)
        self.reached.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        answer = self.answers[type(request)]
        answer = answer(request) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
        return hop.Answer(raw, cast("type[R]", RESULTS[type(request)]))


@dataclass
class FakeAuthenticator:
    """One user, ann, with one password and a token of each kind."""

    database_up: bool = True
    revoked: set[str] = field(default_factory=set[str])
    checks: int = 0

    async def log_in(self, username: str, password: str, address: str = "") -> User:
        if not self.database_up:
            raise DatabaseUnavailable(2.0)
        if (username, password) != (ANN.name, PASSWORD):
            raise LoginFailed
        return ANN

    async def find_user(self, name: str) -> User | None:
        if not self.database_up:
            raise DatabaseUnavailable(2.0)
        return BEN if name == BEN.name else ANN if name == ANN.name else None

    def issue(
        self, user: User, session: str | None, kernel: str | None, scopes: tuple[str, ...] = ALL_SCOPES
    ) -> tuple[str, Claims]:
        return TOKEN, self._claims(user, session, scopes)

    def check(self, token: str | None) -> Claims:
        self.checks += 1
        if not token:
            raise InvalidToken("missing")
        if token == EXPIRED_TOKEN:
            raise InvalidToken("expired")
        if token == REVOKED_TOKEN or token in self.revoked:
            raise InvalidToken("revoked")
        known = {
            TOKEN: self._claims(ANN, SESSION, ALL_SCOPES),
            READ_TOKEN: self._claims(ANN, SESSION, ("read",)),
            BARE_TOKEN: self._claims(ANN, None, ALL_SCOPES),
        }
        if token not in known:
            raise InvalidToken("malformed")
        return known[token]

    async def revoke(self, token: Revocable) -> None:
        self.revoked.add(token.token_id)

    async def renew(self, claims: Claims) -> tuple[str, Claims]:
        return TOKEN, claims

    async def end_all(self, claims: Claims) -> None:
        self.revoked.add(claims.token_id)

    async def create_script_token(self, holder: Claims, wanted: Wanted) -> tuple[str, Claims]:
        return BARE_TOKEN, self._claims(ANN, None, wanted.scopes)

    async def script_tokens(self, holder: Claims, limit: int, after: str | None = None) -> TokenPage:
        return TokenPage([], None)

    async def revoke_script_token(self, holder: Claims, token_id: str) -> None:
        self.revoked.add(token_id)

    def _claims(self, user: User, session: str | None, scopes: tuple[str, ...]) -> Claims:
        return Claims(TOKEN, user.id, user.name, session, "python3", scopes, 1, 0, EXPIRES_AT)


@dataclass
class Front:
    """A dispatcher with fakes behind it."""

    bridge: FakeBridge
    authenticator: FakeAuthenticator
    services: Services
    dispatcher: Dispatcher

    @classmethod
    def of(cls, registry: Any = REGISTRY, **settings: Any) -> "Front":
        bridge, authenticator = FakeBridge(), FakeAuthenticator()
        services = Services.of(bridge, authenticator, "0.0", RpcSettings(**settings))
        return cls(bridge, authenticator, services, Dispatcher(registry, services))

    async def send(self, body: object, *authorization: str) -> Any:
        """The decoded answer to `body`: bytes and text as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        answer = await self.dispatcher.dispatch(raw, authorization, "req-1")
        return None if answer is None else json.loads(answer)

    async def call(self, method: str, params: object = None, token: str = TOKEN) -> Any:
        """The response to one call with a token in the header."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        response = await self.send(request, f"Bearer {token}")
        assert response["jsonrpc"] == "2.0"
        assert response["id"] == 1
        return response

    async def error(self, method: str, params: object = None, token: str = TOKEN) -> Any:
        return (await self.call(method, params, token))["error"]

    async def result(self, method: str, params: object = None, token: str = TOKEN) -> Any:
        return (await self.call(method, params, token))["result"]


async def turns(condition: Callable[[], bool], most: int = 200) -> None:
    """Let the loop turn until `condition` holds. Fails after `most` turns."""
    for _ in range(most):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition did not come true")
