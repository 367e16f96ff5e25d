"""The real authenticator behind the dispatcher: forged, truncated, expired and revoked tokens."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from auth import secret
from auth.authenticator import Authenticator
from auth.bootstrap import bootstrap
from auth.database import Database, default_url
from auth.errors import InvalidToken
from auth.settings import AuthSettings
from rpc.context import Services
from rpc.dispatch import Dispatcher
from rpc.methods import REGISTRY
from tests.unit.rpc.fakes import FakeAuthenticator, FakeBridge, Front


@dataclass
class Clock:
    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


@dataclass
class LoggedIn:
    front: Front
    clock: Clock
    token: str

    async def whoami(self, token: str) -> Any:
        return await self.front.send({"jsonrpc": "2.0", "method": "whoami", "params": {"token": token}, "id": 1})

    async def reason(self, token: str) -> str:
        """Why the token is refused: the same in the params and in the header."""
        with pytest.raises(InvalidToken) as caught:
            await self.front.send({"jsonrpc": "2.0", "method": "whoami", "id": 1}, f"Bearer {token}")
        error = (await self.whoami(token))["error"]
        assert (error["code"], error["data"]) == (-32002, {"reason": caught.value.reason})
        return caught.value.reason


@pytest.fixture
async def ann(tmp_path: Path) -> AsyncIterator[LoggedIn]:
    password = bootstrap(tmp_path / "state").admin_password
    clock = Clock()
    state = tmp_path / "state"
    authenticator = Authenticator(secret.load(state), Database(default_url(state)), AuthSettings(), clock)
    services = Services.of(FakeBridge(), authenticator, "0.0")
    front = Front(FakeBridge(), FakeAuthenticator(), services, Dispatcher(REGISTRY, services))
    params = {"username": "admin", "password": password}
    response = await front.send({"jsonrpc": "2.0", "method": "login", "params": params, "id": 1})
    yield LoggedIn(front, clock, response["result"]["token"])
    await authenticator.close()


async def test_tokens(ann: LoggedIn) -> None:
    assert (await ann.whoami(ann.token))["result"]["user"] == "admin"
    for end in (3, 10, len(ann.token) // 2, len(ann.token) - 1):
        assert await ann.reason(ann.token[:end]) == "malformed"
    other = "A" if ann.token[20] != "A" else "B"
    assert await ann.reason(ann.token[:20] + other + ann.token[21:]) == "malformed"
    ann.clock.now += AuthSettings().token_lifetime_s + 1
    assert await ann.reason(ann.token) == "expired"


async def test_a_log_out_is_known_at_once(ann: LoggedIn) -> None:
    request = {"jsonrpc": "2.0", "method": "logout", "id": 1}
    assert (await ann.front.send(request, f"token {ann.token}"))["result"] == {"revoked": True}
    assert await ann.reason(ann.token) == "revoked"


async def test_a_wrong_password(ann: LoggedIn) -> None:
    params = {"username": "admin", "password": "wrong"}
    response = await ann.front.send({"jsonrpc": "2.0", "method": "login", "params": params, "id": 1})
    assert response["error"] == {"code": -32001, "message": "LoginFailed: wrong user name or password"}
