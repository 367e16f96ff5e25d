"""Who is let in, and for how long, at two real fronts: throttled log-ins, replaced keys, users who leave, sharing, and
what the audit log knows of it."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from tests.e2e.client import Client
from tests.e2e.conftest import Starter
from tests.e2e.service import Service, kernelwire
from tests.e2e.workers import client_at

PASSWORD = "correct horse"
WITHIN_S = 2.0
"""what the contract gives; a call under way may end half a second later on a busy machine"""
WORKERS = ("front-1", "front-2")
THROTTLED = {
    "KERNELWIRE_AUTH__LOGIN_FAILURES_PER_USER": "100/minute",
    "KERNELWIRE_AUTH__LOGIN_FAILURES_PER_ADDRESS": "3/minute",
}


def run(service: Service, *words: str, stdin: str = "") -> str:
    """A command beside the service."""
    done = kernelwire(
        *words, "--state-dir", str(service.state_dir), home=service.state_dir.parent / "home", stdin=stdin
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


def audited(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (service.state_dir / "audit.jsonl").read_text().splitlines()]


@pytest.fixture
async def two(start: Starter, http: aiohttp.ClientSession) -> AsyncIterator[Client]:
    """`admin` at a service with two fronts, which has a user ann, too."""
    service = start(arguments=["--workers", "2"])
    run(service, "user", "add", "ann", "--password-stdin", stdin=f"{PASSWORD}\n")
    yield await Client(http, service).log_in()
    await asyncio.to_thread(service.stop)


async def ends(client: Client, within_s: float = WITHIN_S) -> str:
    """The reason for which the client's token is refused."""
    until = time.monotonic() + within_s
    answer = await client.post({"jsonrpc": "2.0", "id": 1, "method": "whoami"})
    while answer.status == 200 and time.monotonic() < until:
        await asyncio.sleep(0.05)
        answer = await client.post({"jsonrpc": "2.0", "id": 1, "method": "whoami"})
    data = answer.failure().data
    assert (answer.status, answer.failure().code) == (401, -32002)
    assert data is not None
    return data["reason"]


async def poll_until_ended(client: Client) -> Any:
    """A long poll that nothing but the service ends."""
    newest = (await client.call("session_info"))["newest"]
    request = {"jsonrpc": "2.0", "id": 1, "method": "poll_output", "params": {"cursor": newest, "wait": 60}}
    return (await client.post(request)).failure()


async def test_failed_log_ins_are_throttled_by_address(start: Starter, http: aiohttp.ClientSession) -> None:
    service = start(extra=THROTTLED, arguments=["--behind-proxy"])
    anybody = Client(http, service)
    service.private.add(service.password)

    async def log_in(password: str, address: str, username: str = "admin") -> Any:
        params = {"username": username, "password": password}
        request = {"jsonrpc": "2.0", "id": 1, "method": "login", "params": params}
        # of several only the last one, which the proxy has written, is believed
        answer = await anybody.post(request, X_Forwarded_For=f"203.0.113.{time.monotonic_ns() % 250}, {address}")
        response = answer.response()
        return response.error and (response.error.code, response.error.message)

    failed = (-32001, "LoginFailed: wrong user name or password")
    assert [await log_in("wrong", "192.0.2.1", name) for name in ("admin", "nobody", "x y")] == [failed] * 3
    code, words = await log_in("wrong", "192.0.2.1")
    assert code == -32004
    assert words.startswith("RateLimited: too many log-ins have failed; try again in ")
    assert (await log_in("wrong", "192.0.2.1", "nobody"))[0] == -32004
    assert (await log_in(service.password, "192.0.2.1"))[0] == -32004
    assert await log_in(service.password, "192.0.2.2") is None
    await asyncio.to_thread(service.stop)
    outcomes = [one["outcome"] for one in audited(service) if one["event"] == "login"]
    assert outcomes == ["failed"] * 3 + ["throttled"] * 3 + ["ok"]
    assert {one["address"] for one in audited(service)} == {"192.0.2.1", "192.0.2.2"}


@pytest.mark.parametrize("how", ["disable", "remove", "key"])
async def test_whoever_leaves_is_out_everywhere(two: Client, how: str) -> None:
    """On both fronts, also what waits and what is subscribed."""
    ann = await two.log_in("ann", PASSWORD)
    async with client_at(ann, WORKERS[0]) as first, client_at(ann, WORKERS[1]) as second:
        polls = [asyncio.create_task(poll_until_ended(client)) for client in (first, second)]
        headers = {"Authorization": f"Bearer {ann.token}"}
        async with two.http.ws_connect(f"{two.service.url}/ws", headers=headers) as socket:
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "subscribe"})
            assert "result" in await socket.receive_json(timeout=10)
            began = time.monotonic()
            await asyncio.to_thread(
                run, two.service, *(("key", "rotate", "--revoke") if how == "key" else ("user", how, "ann"))
            )
            changed = time.monotonic()
            reasons = [await ends(replace(ann, http=client.http)) for client in (first, second)]
            assert set(reasons) == {"malformed" if how == "key" else "revoked"}
            ended = await socket.receive_json(timeout=10)
            assert (ended["method"], ended["params"]["error"]["code"]) == ("subscription_ended", -32002)
            for poll in polls:
                assert (await asyncio.wait_for(poll, 10)).code == -32002
            assert time.monotonic() - changed < WITHIN_S + 1.5, changed - began
            await socket.send_json({"jsonrpc": "2.0", "id": 2, "method": "session_info"})
            assert (await socket.receive_json(timeout=10))["error"]["code"] == -32002
    if how == "key":
        await two.log_in("ann", PASSWORD)  # with a token of the new key
        return
    await two.fails(-32001, "login", username="ann", password=PASSWORD)


async def test_a_user_of_the_same_name_inherits_nothing(two: Client) -> None:
    ann = await two.log_in("ann", PASSWORD)
    script = await ann.call("create_token", scopes=["read"])
    two.service.private.add(script["token"])
    await two.call("share_session", user="ann", access="write")
    assert (await ann.call("session_info", session=two.session))["access"] == "write"
    await asyncio.to_thread(run, two.service, "user", "remove", "ann")
    await asyncio.to_thread(run, two.service, "user", "add", "ann", "--password-stdin", stdin=f"{PASSWORD}\n")
    again = await two.log_in("ann", PASSWORD)
    assert await ends(ann) == "revoked"
    assert await ends(replace(ann, token=script["token"])) == "revoked"
    for session in (ann.session, two.session):
        await again.fails(-32010, "session_info", session=session)
    assert (await again.call("list_tokens"))["tokens"] == []
    assert [one["session"] for one in (await again.call("list_sessions"))["sessions"]] == [again.session]


async def test_old_tokens_outlive_a_rotation(two: Client) -> None:
    before = two.token
    await asyncio.to_thread(run, two.service, "key", "rotate")
    first, last = [line.split("\t") for line in run(two.service, "key", "list").splitlines()]
    assert (first[2], last[2]) == ("verifies", "signs")
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:  # whichever front answers, before it knows the new key and after
        await two.call("whoami")
        await two.log_in(session=two.session)
    assert two.token == before


async def test_unsharing_ends_polls_and_subscriptions(two: Client) -> None:
    ann = await two.log_in("ann", PASSWORD)
    await two.call("share_session", user="ann", access="read")
    await ann.fails(-32003, "evaluate", code="1", session=two.session)
    mine = [one for one in (await ann.call("list_sessions"))["sessions"] if one["access"] != "owner"]
    assert [(one["session"], one["access"]) for one in mine] == [(two.session, "read")]
    await two.evaluate("1 + 1")
    newest = (await two.poll()).cursor
    async with two.http.ws_connect(f"{two.service.url}/ws") as socket:
        params = {"session": two.session, "token": ann.token}
        for number, method in enumerate(("subscribe", "poll_output")):
            more = {"cursor": newest, **({"wait": 60} if method == "poll_output" else {})}
            request = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, **more}}
            await socket.send_json(request)
        assert "result" in await socket.receive_json(timeout=10)
        assert (await two.call("unshare_session", user="ann"))["shares"] == []
        ended = [await socket.receive_json(timeout=10) for _ in range(2)]
    assert [one["method"] for one in ended if "method" in one] == ["subscription_ended"]
    assert {one.get("params", one)["error"]["code"] for one in ended} == {-32010}
    await ann.fails(-32010, "poll_output", session=two.session, wait=0)


async def test_the_audit_log_knows_and_tells_no_secrets(two: Client) -> None:
    code = "password_in_code = 'hunter2 and more'"
    await two.evaluate(code, cell="one")
    await two.call("close_session", delete=True)
    await asyncio.sleep(0.1)  # records wait some milliseconds
    path = two.service.state_dir / "audit.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    found = [one for one in audited(two.service) if one["event"] in ("evaluate", "session_deleted")]
    assert [one["event"] for one in found] == ["evaluate", "session_deleted"]
    assert found[0]["code_sha256"] == hashlib.sha256(code.encode()).hexdigest()
    assert (found[0]["code_bytes"], found[0]["session"], found[0]["user"]) == (len(code), two.session, "admin")
    assert found[0]["address"] == "127.0.0.1"
    text = path.read_text()
    assert not [secret for secret in {*two.service.private, PASSWORD, "hunter2"} if secret in text]


async def test_without_audit_log(start: Starter, http: aiohttp.ClientSession) -> None:
    service = start(extra={"KERNELWIRE_AUDIT__ENABLED": "false"})
    client = await Client(http, service).log_in()
    assert (await client.evaluate("1 + 1")).text == "2"
    await asyncio.to_thread(service.stop)
    assert not (service.state_dir / "audit.jsonl").exists()
