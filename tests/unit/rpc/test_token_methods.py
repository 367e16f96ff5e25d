"""refresh, logout_all and long-lived tokens through the dispatcher, with the real authenticator behind it."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auth import secret
from auth.authenticator import Authenticator
from auth.bootstrap import bootstrap
from auth.database import DATABASE_FILE, Database, default_url
from auth.errors import InvalidToken
from auth.settings import AuthSettings
from rpc.context import Services
from rpc.dispatch import Dispatcher
from rpc.methods import REGISTRY
from tests.unit.rpc.fakes import SESSION, FakeAuthenticator, FakeBridge, Front

DAY_S = 86_400


@dataclass
class Clock:
    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


@dataclass
class User:
    """Somebody who logged in; `as_` sends with another token."""

    front: Front
    clock: Clock
    token: str
    state_dir: Path

    def as_(self, token: str) -> "User":
        return User(self.front, self.clock, token, self.state_dir)

    async def send(self, method: str, **params: Any) -> Any:
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        return await self.front.send(request, f"Bearer {self.token}")

    async def call(self, method: str, **params: Any) -> Any:
        return (await self.send(method, **params))["result"]

    async def fails(self, method: str, **params: Any) -> tuple[int, Any]:
        error = (await self.send(method, **params))["error"]
        return error["code"], error.get("data")

    async def is_refused(self) -> bool:
        try:
            await self.send("whoami")
        except InvalidToken as error:
            return error.reason == "revoked"
        return False

    async def script(self, *scopes: str, **params: Any) -> "User":
        made = await self.call("create_token", scopes=list(scopes), **params)
        return self.as_(made["token"])


@pytest.fixture
async def ann(tmp_path: Path) -> AsyncIterator[User]:
    state = tmp_path / "state"
    password = bootstrap(state).admin_password
    clock = Clock()
    settings = AuthSettings(script_tokens_per_user=3)
    authenticator = Authenticator(secret.load(state), Database(default_url(state)), settings, clock)
    bridge = FakeBridge()
    services = Services.of(bridge, authenticator, "0.0")
    front = Front(bridge, FakeAuthenticator(), services, Dispatcher(REGISTRY, services))
    params = {"username": "admin", "password": password}
    response = await front.send({"jsonrpc": "2.0", "method": "login", "params": params, "id": 1})
    yield User(front, clock, response["result"]["token"], state)
    await authenticator.close()


async def test_refresh(ann: User) -> None:
    before = await ann.call("whoami")
    ann.clock.now += 3600
    renewed = await ann.call("refresh")
    assert set(renewed) == {"token", "session", "kernel", "expires_at", "scopes"}
    assert (renewed["session"], renewed["kernel"]) == (SESSION, "python3")
    newer = ann.as_(renewed["token"])
    after = await newer.call("whoami")
    assert {**after, "expires_at": None} == {**before, "expires_at": None}
    assert after["expires_at"] == renewed["expires_at"] > before["expires_at"]
    await newer.call("logout")
    assert await newer.is_refused()
    assert not await ann.is_refused()


async def test_a_long_lived_token_cannot_be_refreshed(ann: User) -> None:
    script = await ann.script("read", "manage")
    assert await script.fails("refresh") == (
        -32602,
        {"member": "token", "expected": "a token of login; create_token makes a long-lived one"},
    )


async def test_logout_all(ann: User) -> None:
    other, script = ann.as_((await ann.call("refresh"))["token"]), await ann.script("read")
    assert await ann.call("logout_all") == {"revoked": True}
    assert [await user.is_refused() for user in (ann, other, script)] == [True] * 3


async def test_create_list_revoke(ann: User) -> None:
    made = await ann.call("create_token", scopes=["manage", "read", "read"], name="nightly", expires_in_s=3600)
    assert made["scopes"] == ["read", "manage"]
    shown = {name: made[name] for name in made if name != "token"}
    assert set(shown) == {"token_id", "name", "scopes", "created_at", "expires_at"}
    assert datetime.fromisoformat(made["expires_at"]).timestamp() == int(ann.clock.now) + 3600
    listed = await ann.call("list_tokens")
    assert listed == {"tokens": [shown], "after": None}
    assert made["token"] not in str(listed)
    script = ann.as_(made["token"])
    assert (await script.call("whoami"))["session"] is None
    assert await ann.call("revoke_token", token_id=made["token_id"]) == {"token_id": made["token_id"], "revoked": True}
    assert await script.is_refused()
    assert (await ann.call("list_tokens"))["tokens"] == []
    assert (await ann.fails("revoke_token", token_id=made["token_id"]))[0] == -32602


async def test_calls_of_a_script_name_their_session(ann: User) -> None:
    script = await ann.script("evaluate", "read")
    code, data = await script.fails("evaluate", code="1")
    assert (code, data["member"]) == (-32602, "session")
    assert (await script.call("evaluate", code="1", session=SESSION))["text"] == "2"
    await script.call("list_sessions")
    assert ann.front.bridge.asked[-2].caller == ann.front.bridge.asked[0].caller  # pyright: ignore[reportUnknownMemberType]


async def test_expiry_by_default_and_by_time(ann: User) -> None:
    made = await ann.call("create_token", scopes=["read"])
    assert datetime.fromisoformat(made["expires_at"]).timestamp() == int(ann.clock.now) + 90 * DAY_S
    at = datetime.fromtimestamp(int(ann.clock.now) + 60, UTC).isoformat()
    made = await ann.call("create_token", scopes=["read"], expires_at=at)
    assert datetime.fromisoformat(made["expires_at"]) == datetime.fromisoformat(at)
    script = ann.as_(made["token"])
    ann.clock.now += 60
    with pytest.raises(InvalidToken, match="expired"):
        await script.send("whoami")


@pytest.mark.parametrize(
    ("params", "member"),
    [
        ({}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"scopes": "read"}, "scopes"),
        ({"scopes": ["read"], "name": ""}, "name"),
        ({"scopes": ["read"], "name": "a\tb"}, "name"),
        ({"scopes": ["read"], "name": "\x1b[31m"}, "name"),
        ({"scopes": ["read"], "expires_in_s": 0}, "expires_in_s"),
        ({"scopes": ["read"], "expires_in_s": 1e300}, "expires_in_s"),
        ({"scopes": ["read"], "expires_in_s": 10_000 * DAY_S}, "expires_in_s"),
        ({"scopes": ["read"], "expires_at": "tomorrow"}, "expires_at"),
        ({"scopes": ["read"], "expires_at": "2027-01-01T00:00:00"}, "expires_at"),
        ({"scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"scopes": ["read"], "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"scopes": ["read"], "expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"scopes": ["read"], "expires_in_s": 60, "expires_at": "2027-01-01T00:00:00Z"}, "expires_at"),
        ({"scopes": ["read"], "user": "eve"}, "user"),
    ],
)
async def test_bad_wishes(ann: User, params: dict[str, Any], member: str) -> None:
    code, data = await ann.fails("create_token", **params)
    assert (code, data["member"]) == (-32602, member)
    assert (await ann.call("list_tokens"))["tokens"] == []


async def test_scopes(ann: User) -> None:
    reader, manager = await ann.script("read"), await ann.script("manage")
    for method, params in (
        ("create_token", {"scopes": ["read"]}),
        ("list_tokens", {}),
        ("revoke_token", {"token_id": "x"}),
        ("logout_all", {}),
    ):
        assert await reader.fails(method, **params) == (-32003, {"scope": "manage"})
    assert await manager.fails("create_token", scopes=["manage", "evaluate"]) == (-32003, {"scope": "evaluate"})
    assert (await manager.call("create_token", scopes=["manage"]))["scopes"] == ["manage"]


async def test_limit_and_pages(ann: User) -> None:
    ids = [(await ann.call("create_token", scopes=["read"], name=f"n{n}"))["token_id"] for n in range(3)]
    assert await ann.fails("create_token", scopes=["read"]) == (
        -32005,
        {"limit": "script_tokens_per_user", "value": 3},
    )
    first = await ann.call("list_tokens", limit=2)
    assert [token["token_id"] for token in first["tokens"]] == ids[:2]
    rest = await ann.call("list_tokens", limit=2, after=first["after"])
    assert ([token["name"] for token in rest["tokens"]], rest["after"]) == (["n2"], None)
    code, data = await ann.fails("list_tokens", after="x")
    assert (code, data["member"]) == (-32602, "after")


async def test_without_a_database(ann: User) -> None:
    (ann.state_dir / DATABASE_FILE).rename(ann.state_dir / "away")
    for method, params in (
        ("refresh", {}),
        ("logout_all", {}),
        ("create_token", {"scopes": ["read"]}),
        ("list_tokens", {}),
        ("revoke_token", {"token_id": "x"}),
    ):
        assert (await ann.fails(method, **params))[0] == -32042
    assert not await ann.is_refused()
