"""What calls leave in the audit log: who, what and from where, and never a password, a token or code."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from auth.audit import AUDIT_FILE, AuditLog, AuditSettings
from auth.errors import LoginThrottled
from kernel_bridge import hop, results
from rpc.dispatch import Dispatcher
from rpc.methods import REGISTRY
from tests.unit.rpc.fakes import PASSWORD, SESSION, TOKEN, Front

ADDRESS = "192.0.2.7"


@dataclass
class Audited:
    front: Front
    log: AuditLog
    path: Path

    async def call(self, method: str, params: object = None, token: str = TOKEN) -> Any:
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        raw = json.dumps(body).encode()
        answer = await self.front.dispatcher.dispatch(raw, [f"Bearer {token}"], "req-1", address=ADDRESS)
        return json.loads(answer or b"null")

    async def records(self) -> list[dict[str, Any]]:
        """All of them, without the time; nothing is recorded after it."""
        await self.log.close()
        found = [json.loads(line) for line in self.path.read_text().splitlines()]
        assert all(one.pop("time").endswith("Z") for one in found)
        return found


@pytest.fixture
async def audited(tmp_path: Path) -> AsyncIterator[Audited]:
    front = Front.of()
    log = AuditLog.of(tmp_path, AuditSettings())
    services = replace(front.services, audit=log)
    yield Audited(
        replace(front, services=services, dispatcher=Dispatcher(REGISTRY, services)), log, tmp_path / AUDIT_FILE
    )
    await log.close()


WHO = {"user_id": "u1", "user": "ann", "address": ADDRESS, "request_id": "req-1"}


async def test_log_ins(audited: Audited) -> None:
    front = audited.front
    await audited.call("login", {"username": "ann", "password": PASSWORD})
    await audited.call("login", {"username": "ann" + "x" * 250, "password": "wrong password"})
    front.bridge.answers[hop.OpenSession] = results.SessionOpened(SESSION, "python3", "old")
    await audited.call("login", {"username": "ann", "password": PASSWORD, "session": SESSION})

    async def throttled(username: str, password: str, address: str = "") -> Any:
        assert address == ADDRESS
        raise LoginThrottled(3.0)

    front.authenticator.log_in = throttled
    answer = await audited.call("login", {"username": "ann", "password": PASSWORD})
    assert (answer["error"]["code"], answer["error"]["data"]) == (-32004, {"retry_after_s": 3.0})
    found = await audited.records()
    assert [(one["event"], one.get("outcome"), one.get("session")) for one in found] == [
        ("login", "ok", None),
        ("session_opened", None, SESSION),
        ("login", "failed", None),
        ("login", "ok", None),
        ("session_attached", None, SESSION),
        ("session_closed", None, "old"),
        ("login", "throttled", None),
    ]
    assert len(found[2]["user"]) == 128
    assert found[1] == {**WHO, "event": "session_opened", "session": SESSION, "kernel": "python3"}
    assert PASSWORD not in audited.path.read_text()
    assert "wrong password" not in audited.path.read_text()


async def test_an_evaluation_leaves_length_and_digest_of_its_code(audited: Audited) -> None:
    code = "api_key = 'ä'"
    await audited.call("evaluate", {"code": code, "cell": "c1"})
    assert await audited.records() == [
        {
            **WHO,
            "event": "evaluate",
            "session": SESSION,
            "cell": "c1",
            "code_bytes": len(code.encode()),
            "code_sha256": hashlib.sha256(code.encode()).hexdigest(),
        }
    ]
    assert "api_key" not in audited.path.read_text()


@pytest.mark.parametrize(
    ("method", "params", "event", "facts"),
    [
        ("close_session", {}, "session_closed", {"session": SESSION}),
        ("close_session", {"delete": True}, "session_deleted", {"session": SESSION}),
        ("open_session", {}, "session_opened", {"session": SESSION, "kernel": "python3"}),
        ("open_session", {"session": SESSION}, "session_attached", {"session": SESSION, "kernel": "python3"}),
        (
            "share_session",
            {"user": "ben", "access": "write"},
            "session_shared",
            {"session": SESSION, "shared_with": "u2", "access": "write"},
        ),
        ("unshare_session", {"user": "ben"}, "session_unshared", {"session": SESSION, "unshared": "ben"}),
        ("logout", {}, "token_revoked", {"token_id": TOKEN, "by": "logout"}),
        ("logout_all", {}, "tokens_revoked", {"by": "logout_all"}),
        (
            "create_token",
            {"scopes": ["read"]},
            "token_created",
            {"token_id": TOKEN, "scopes": ["read"], "by": "create_token"},
        ),
        ("revoke_token", {"token_id": "t1"}, "token_revoked", {"token_id": "t1", "by": "revoke_token"}),
        ("refresh", {}, "token_created", {"token_id": TOKEN, "session": SESSION, "by": "refresh"}),
    ],
)
async def test_what_changes_something(
    audited: Audited, method: str, params: object, event: str, facts: dict[str, Any]
) -> None:
    assert "error" not in await audited.call(method, params)
    assert await audited.records() == [{**WHO, "event": event, **facts}]


async def test_what_fails_and_what_only_reads_leaves_nothing(audited: Audited) -> None:
    audited.front.bridge.answers[hop.CloseSession] = RuntimeError()
    await audited.call("close_session")
    for method in ("poll_output", "list_sessions", "whoami", "session_info", "complete"):
        await audited.call(method, {"code": "x"} if method == "complete" else {})
    audited.log.record("end")
    assert [one["event"] for one in await audited.records()] == ["end"]
