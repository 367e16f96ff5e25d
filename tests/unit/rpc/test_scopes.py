"""Every method with every scope, asked by the owner of a session, by those that it is shared with, and by a stranger.

The host's part is played by its own rules (kernel_bridge.access) on a record; what else it answers does not matter.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from auth.tokens import SCOPES, Claims
from kernel_bridge import access, hop
from kernel_bridge.record import SessionRecord
from kernel_bridge.results import Share
from rpc.methods import REGISTRY
from tests.unit.rpc.fakes import EXPIRES_AT, PASSWORD, SESSION, FakeAuthenticator, FakeBridge, Front

ROLES = ("owner", "writer", "reader", "stranger")
RECORD = SessionRecord(
    SESSION, "owner", "python3", "w", "2026-11-01T00:00:00.000Z",
    [Share("writer", "writer", "write"), Share("reader", "reader", "read")],
)  # fmt: skip
FORBIDDEN, NOT_FOUND, NO_TOKEN, OVER_HTTP = -32003, -32010, -32002, -32601
CODE = {"code": "1"}

# method: its scope, what it needs in the session (None: it is about none), params
TABLE: dict[str, tuple[str | None, str | None, dict[str, Any]]] = {
    "login": (None, "read", {"username": "ann", "password": PASSWORD, "session": SESSION}),
    "logout": (None, None, {}),
    "whoami": (None, None, {}),
    "refresh": (None, None, {}),
    "rpc.discover": (None, None, {}),
    "logout_all": ("manage", None, {}),
    "create_token": ("manage", None, {"scopes": ["manage"]}),
    "list_tokens": ("manage", None, {}),
    "revoke_token": ("manage", None, {"token_id": "t"}),
    "open_session": ("manage", "read", {"session": SESSION}),
    "close_session": ("manage", "owner", {}),
    "share_session": ("manage", "owner", {"user": "ben"}),
    "unshare_session": ("manage", "owner", {"user": "ben"}),
    "list_sessions": ("read", None, {}),
    "list_kernels": ("read", None, {}),
    "session_info": ("read", "read", {}),
    "poll_output": ("read", "read", {}),
    "subscribe": ("read", "read", {}),
    "unsubscribe": ("read", None, {"subscription": 1}),
    "get_cell": ("read", "read", {"cell": "c"}),
    "list_cells": ("read", "read", {}),
    "history": ("read", "read", {}),
    "export_notebook": ("read", "read", {}),
    "evaluate": ("evaluate", "write", CODE),
    "complete": ("evaluate", "write", CODE),
    "inspect": ("evaluate", "write", CODE),
    "is_complete": ("evaluate", "write", CODE),
    "kernel_info": ("evaluate", "write", {}),
    "restart": ("evaluate", "write", {}),
    "interrupt": ("evaluate", "write", {}),
    "input_reply": ("evaluate", "write", {"id": "i", "value": "v"}),
    "comm_open": ("evaluate", "write", {"target_name": "t"}),
    "comm_msg": ("evaluate", "write", {"comm_id": "c"}),
    "comm_close": ("evaluate", "write", {"comm_id": "c"}),
}
ALLOWED = {
    "owner": ("read", "write", "owner", None),
    "writer": ("read", "write", None),
    "reader": ("read", None),
    "stranger": (None,),
}


class Authenticator(FakeAuthenticator):
    """A token says its user and its scopes: `owner:read,manage`."""

    def check(self, token: str | None) -> Claims:
        if not token or ":" not in token:
            return super().check(token)
        user, _, scopes = token.partition(":")
        return Claims(token, user, user, SESSION, "python3", tuple(filter(None, scopes.split(","))), 1, 0, EXPIRES_AT)


class Bridge(FakeBridge):
    """Checks what a host checks."""

    async def call(self, request: hop.Request[Any], *, timeout_s: float) -> hop.Answer[Any]:
        session = getattr(request, "session", None)
        if session is not None:
            opening = isinstance(request, hop.OpenSession)
            access.check(RECORD, request.caller, session, "read" if opening else access.needed(type(request)))
        return await super().call(request, timeout_s=timeout_s)


@pytest.fixture
def front() -> Front:
    made = Front.of()
    bridge, authenticator = Bridge(), Authenticator()
    services = type(made.services).of(bridge, authenticator, "0.0")
    return Front(bridge, authenticator, services, type(made.dispatcher)(REGISTRY, services))


def _cases() -> Iterator[tuple[str, str, str]]:
    for name in TABLE:
        for role in ROLES:
            yield from ((name, role, scopes) for scopes in ("", *SCOPES, ",".join(SCOPES)))


def _expected(name: str, role: str, scopes: str) -> int | None:
    """The code of the error, None for a result."""
    scope, needs, _ = TABLE[name]
    if scope is not None and scope not in scopes.split(","):
        return FORBIDDEN
    if name in ("subscribe", "unsubscribe"):
        return OVER_HTTP  # the scope was looked at before; who may subscribe is what poll_output asks the host
    if name == "login":
        return NOT_FOUND  # ann, whose name and password these are, is a stranger
    if needs in ALLOWED[role]:
        return None
    return NOT_FOUND if role == "stranger" else FORBIDDEN


def test_the_table_has_every_method() -> None:
    assert set(TABLE) == set(REGISTRY)
    assert {name: entry.scope for name, entry in REGISTRY.items()} == {name: row[0] for name, row in TABLE.items()}


def test_every_request_about_a_session_has_its_rule() -> None:
    about_one = {kind for kind in hop.RESULTS if _is_about_one(kind)}
    owners = {kind for kind in about_one if access.needed(kind) == "owner"}
    assert owners == {hop.CloseSession, hop.ShareSession, hop.UnshareSession}
    assert access.needed(object) == "owner"  # denied by default


def _is_about_one(kind: type[Any]) -> bool:
    return kind is not hop.OpenSession and "session" in [field.name for field in structs.fields(kind)]


@pytest.mark.parametrize(("name", "role", "scopes"), [*_cases()])
async def test_who_may_call_what(front: Front, name: str, role: str, scopes: str) -> None:
    answer = await front.call(name, TABLE[name][2], token=f"{role}:{scopes}")
    code = answer["error"]["code"] if "error" in answer else None
    assert code == _expected(name, role, scopes), answer
    if code == FORBIDDEN:
        scope, needs, _ = TABLE[name]
        short_of_scope = scope not in scopes.split(",")
        assert answer["error"]["data"] == ({"scope": scope} if short_of_scope else {"access": needs})


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if entry.token])
async def test_without_a_token_nothing_is_done(front: Front, name: str) -> None:
    answer = await front.send({"jsonrpc": "2.0", "id": 1, "method": name, "params": TABLE[name][2]})
    assert (answer["error"]["code"], answer["error"]["data"]) == (NO_TOKEN, {"reason": "missing"})
    assert front.bridge.asked == []


def test_a_token_of_log_in_has_no_admin_scope() -> None:
    assert "admin" in SCOPES
    assert "admin" not in FakeAuthenticator().check("kw_good").scopes
