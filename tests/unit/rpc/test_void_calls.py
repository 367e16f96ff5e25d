"""Calls that wait end when their token is revoked, and the calls of one user are bounded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from auth.errors import InvalidToken
from rpc.app import SERVICES
from rpc.limits import LongPolls
from tests.unit.rpc.fakes import BARE_TOKEN, EXPIRED_TOKEN, TOKEN, Front, turns
from tests.unit.rpc.ws import House

BOUND_S = 10.0


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.close()


@pytest.mark.parametrize(("method", "params"), [("poll_output", {}), ("evaluate", {"code": "x"})])
async def test_a_revoked_token_ends_what_waits(method: str, params: Any) -> None:
    front = Front.of()
    front.bridge.gate.clear()
    call = asyncio.create_task(front.error(method, params))
    await front.bridge.reached.wait()
    front.services.long_polls.end_void(front.authenticator.check)
    await asyncio.sleep(0)
    assert not call.done()
    front.authenticator.revoked.add(TOKEN)
    front.services.long_polls.end_void(front.authenticator.check)
    error = await asyncio.wait_for(call, BOUND_S)
    assert (error["code"], error["data"]) == (-32002, {"reason": "revoked"})
    assert len(front.bridge.cancelled) == 1
    polls = front.services.long_polls
    assert (polls.waiting, polls.held, polls.void) == (0, {}, {})


async def test_the_others_of_a_batch_go_on() -> None:
    front = Front.of()
    front.bridge.gate.clear()
    both = ({"token": TOKEN}, {"token": BARE_TOKEN, "session": "s"})
    batch = [
        {"jsonrpc": "2.0", "method": "poll_output", "id": number, "params": params}
        for number, params in enumerate(both, 1)
    ]
    call = asyncio.create_task(front.send(batch))
    await turns(lambda: len(front.bridge.asked) == 2)
    front.authenticator.revoked.add(TOKEN)
    front.services.long_polls.end_void(front.authenticator.check)
    await turns(lambda: len(front.bridge.cancelled) == 1)
    front.bridge.gate.set()
    answers = {answer["id"]: answer for answer in await asyncio.wait_for(call, BOUND_S)}
    assert answers[1]["error"]["code"] == -32002
    assert "result" in answers[2]


async def test_a_token_that_expires_meanwhile_gets_its_answer() -> None:
    polls = LongPolls(1)
    front = Front.of()

    async def wait() -> str:
        with polls.hold("u1", 1.0, EXPIRED_TOKEN):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return "answer"

    call = asyncio.create_task(wait())
    await asyncio.sleep(0)
    polls.end_void(front.authenticator.check)
    assert await call == "answer"


async def test_whoever_else_ends_the_call_is_heard() -> None:
    polls = LongPolls(1)

    def revoked(_: str) -> None:
        raise InvalidToken("revoked")

    async def wait() -> None:
        with polls.hold("u1", 1.0, "kw_x"):
            await asyncio.sleep(BOUND_S)

    call = asyncio.create_task(wait())
    await asyncio.sleep(0)
    polls.end_void(revoked)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert polls.waiting == 0


@pytest.mark.parametrize("socket", [False, True])
async def test_the_front_looks_by_itself(house: House, monkeypatch: pytest.MonkeyPatch, socket: bool) -> None:
    monkeypatch.setattr("rpc.app.TICK_S", 0.01)
    front = Front.of()
    front.bridge.gate.clear()
    client = await house.serve(front)
    assert client.app is not None
    assert client.app[SERVICES] is front.services
    request = {"jsonrpc": "2.0", "id": 1, "method": "poll_output"}
    if socket:
        ws = await house.connect(client)
        await ws.send(request)
        await asyncio.wait_for(front.bridge.reached.wait(), BOUND_S)
        front.authenticator.revoked.add(TOKEN)
        answer = await ws.next()
    else:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        call = asyncio.create_task(client.post("/rpc", json=request, headers=headers))
        await asyncio.wait_for(front.bridge.reached.wait(), BOUND_S)
        front.authenticator.revoked.add(TOKEN)
        answer = await (await asyncio.wait_for(call, BOUND_S)).json()
    assert (answer["error"]["code"], answer["error"]["data"]) == (-32002, {"reason": "revoked"})


async def test_the_calls_of_one_user_are_bounded() -> None:
    front = Front.of(calls_at_once=2)
    front.bridge.gate.clear()
    calls = [asyncio.create_task(front.call("session_info")) for _ in range(2)]
    await turns(lambda: len(front.bridge.asked) == 2)
    error = await front.error("whoami")
    assert (error["code"], error["data"]) == (-32005, {"limit": "calls_at_once", "value": 2})
    front.bridge.gate.set()
    assert all("result" in answer for answer in await asyncio.gather(*calls))
    assert (await front.result("whoami"))["user"] == "ann"
    assert front.services.calls.total == 0
