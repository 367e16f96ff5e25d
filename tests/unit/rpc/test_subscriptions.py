"""subscribe and unsubscribe, over a real WebSocket with a session's log in the test's process."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from auth.tokens import Claims
from kernel_bridge import hop
from kernel_bridge.errors import HostUnavailable, SessionNotFound
from rpc import subscriptions
from tests.unit.rpc.fakes import BARE_TOKEN, SESSION, TOKEN, Front
from tests.unit.rpc.ws import FakeLog, House, counts, figures, until


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.close()


def texts(page: Any) -> list[str]:
    return [event["content"]["text"] for event in page["events"]]


async def test_events_come_as_pages_of_poll_output(house: House) -> None:
    front = Front.of()
    log = FakeLog(front.bridge)
    log.write("a", "b")
    socket = await house.one(front)

    assert await socket.result("subscribe") == {"subscription": 1, "session": SESSION, "cursor": 0}
    for cursor in (0, 2):
        page = log.page(hop.PollOutput(caller=hop.Caller("", ""), session=SESSION, cursor=cursor)).decode()
        head = f'"subscription":1,"session":"{SESSION}",'
        assert await socket.text() == '{"jsonrpc":"2.0","method":"output","params":{' + head + page[1:] + "}"
        log.write("c")


async def test_what_the_host_is_asked(house: House) -> None:
    front = Front.of()
    log = FakeLog(front.bridge)
    log.write("a", "b", "c")
    socket = await house.one(front, BARE_TOKEN)
    await socket.result("subscribe", session="abcd1234.other", cursor=1, cell="c1")
    assert texts(await socket.output()) == ["b", "c"]
    assert [poll.request_id != "" for poll in log.polls[:2]] == [True, False]
    assert {(poll.caller, poll.session, poll.cell) for poll in log.polls} == {
        (hop.Caller("u1", "ann"), "abcd1234.other", "c1")
    }
    assert [(poll.cursor, poll.wait) for poll in log.polls[:2]] == [(1, 0.0), (1, subscriptions.POLL_S)]


async def test_the_answer_comes_before_the_first_page(house: House) -> None:
    front = Front.of()
    FakeLog(front.bridge).write("a")
    socket = await house.one(front)
    for _ in range(20):
        number = await socket.request("subscribe")
        assert (await socket.next())["id"] == number
        await socket.output()


@pytest.mark.parametrize(("params", "code"), [({"cursor": 9}, -32602), ({"cursor": -1}, -32602), ({"wait": 1}, -32602)])
async def test_a_bad_subscription(house: House, params: Any, code: int) -> None:
    front = Front.of(ws_subscriptions=1)
    FakeLog(front.bridge)
    socket = await house.one(front)
    assert (await socket.call("subscribe", **params))["error"]["code"] == code
    assert "result" in await socket.call("subscribe")  # the bad one does not count


async def test_a_session_of_nobody(house: House) -> None:
    front = Front.of()
    FakeLog(front.bridge).failure = SessionNotFound("x")
    socket = await house.one(front)
    assert (await socket.call("subscribe"))["error"]["code"] == -32010


async def test_subscriptions_of_a_user_are_bounded(house: House) -> None:
    front = Front.of(ws_subscriptions=2)
    FakeLog(front.bridge)
    client = await house.serve(front)
    one, other = await house.connect(client), await house.connect(client)
    await one.result("subscribe")
    await other.result("subscribe")
    refused = await other.call("subscribe")
    assert refused["error"]["data"] == {"limit": "ws_subscriptions", "value": 2}
    await one.ws.close()
    await until(lambda: figures(client).subscriptions == 1)
    await other.result("subscribe")


async def test_over_http_there_are_none() -> None:
    error = await Front.of().error("subscribe")
    assert (error["code"], "/ws" in error["message"]) == (-32601, True)


async def test_unsubscribe(house: House) -> None:
    front = Front.of()
    log = FakeLog(front.bridge)
    log.write("a", "b")
    client = await house.serve(front)
    socket = await house.connect(client)
    await socket.result("subscribe")
    await socket.output()
    assert await socket.result("unsubscribe", subscription=1) == {"subscription": 1, "cursor": 2}
    log.write("c")
    assert (await socket.call("unsubscribe", subscription=1))["error"]["data"]["member"] == "subscription"
    await socket.result("subscribe", cursor=2)
    page = await socket.output()
    assert (page["subscription"], texts(page)) == (2, ["c"])
    await socket.result("unsubscribe", subscription=2)
    assert counts(client) == (1, 0, 0)


async def test_a_subscription_to_a_cell_ends_with_done(house: House) -> None:
    front = Front.of()
    log = FakeLog(front.bridge, done=False)
    log.write("a")
    client = await house.serve(front)
    socket = await house.connect(client)
    await socket.result("subscribe", cell="c1")
    assert (await socket.output())["done"] is True  # nothing follows in the log
    await until(lambda: figures(client).subscriptions == 0)
    log.done = True
    await socket.result("subscribe", cell="c1", cursor=1)
    page = await socket.output()
    assert (page["events"], page["done"]) == ([], True)
    await until(lambda: figures(client).subscriptions == 0)


async def test_those_who_stand_at_the_same_place_ask_once(house: House) -> None:
    front = Front.of()
    log = FakeLog(front.bridge)
    client = await house.serve(front)
    sockets = [await house.connect(client) for _ in range(3)]
    for socket in sockets:
        for _ in range(10):
            await socket.result("subscribe")
    await until(lambda: figures(client).polls == 1)
    before = len(log.polls)
    log.write("a")
    for socket in sockets:
        pages = [await socket.output() for _ in range(10)]
        assert [texts(page) for page in pages] == [["a"]] * 10
        assert {page["subscription"] for page in pages} == set(range(1, 11))
    assert figures(client).polls == 1
    assert len(log.polls) - before < 5  # not 30
    for socket in sockets:
        await socket.ws.close()
    await until(lambda: counts(client) == (0, 0, 0))


async def test_nothing_is_missed_or_doubled_after_a_reconnect(house: House) -> None:
    front = Front.of(ws_page_bytes=1024)
    log = FakeLog(front.bridge)
    client = await house.serve(front)
    seen: list[int] = []
    cursor = 0
    writing = asyncio.create_task(_write(log, 500))
    while len(seen) < 500:
        socket = await house.connect(client)
        await socket.result("subscribe", cursor=cursor)
        for _ in range(7):
            if len(seen) == 500:
                break
            page = await socket.output()
            seen += [event["seq"] for event in page["events"]]
            cursor = page["cursor"]
        await socket.ws.close()
    await writing
    assert seen == list(range(1, 501))


async def _write(log: FakeLog, count: int) -> None:
    for number in range(count):
        log.write(str(number))
        if number % 10 == 0:
            await asyncio.sleep(0)


@pytest.mark.parametrize("revoke", ["logout", "elsewhere"])
async def test_a_token_that_ends_ends_its_subscriptions(
    house: House, revoke: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpc.connection.TICK_S", 0.01)
    front = Front.of()
    log = FakeLog(front.bridge)
    log.write("a")
    client = await house.serve(front)
    socket = await house.connect(client)
    await socket.result("subscribe")
    assert (await socket.output())["cursor"] == 1
    if revoke == "logout":
        await socket.result("logout")
    else:
        front.authenticator.revoked.add(TOKEN)
    ended = await socket.next()
    assert (ended["method"], "id" in ended) == ("subscription_ended", False)
    assert (ended["params"]["subscription"], ended["params"]["session"], ended["params"]["cursor"]) == (1, SESSION, 1)
    assert (ended["params"]["error"]["code"], ended["params"]["error"]["data"]) == (-32002, {"reason": "revoked"})
    log.write("b")
    front.authenticator.revoked.clear()
    await socket.result("subscribe", cursor=1)  # the WebSocket itself is there for another login
    assert texts(await socket.output()) == ["b"]


async def test_a_refreshed_token_takes_its_subscriptions_along(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front.of()
    log = FakeLog(front.bridge)
    socket = await house.one(front)
    await socket.result("subscribe")

    async def renew(claims: Claims) -> tuple[str, Claims]:
        return BARE_TOKEN, claims

    monkeypatch.setattr(front.authenticator, "renew", renew)
    await socket.result("refresh")
    front.authenticator.revoked.add(TOKEN)
    log.write("a")
    assert texts(await socket.output()) == ["a"]
    assert (await socket.result("whoami"))["session"] is None  # that of the new token


async def test_nothing_is_sent_to_a_revoked_token_before_the_next_look(house: House) -> None:
    front = Front.of()
    log = FakeLog(front.bridge)
    socket = await house.one(front)
    await socket.result("subscribe")
    front.authenticator.revoked.add(TOKEN)
    log.write("secret")
    text = await socket.text()
    assert "subscription_ended" in text
    assert "secret" not in text


async def test_a_session_that_is_deleted_ends_its_subscriptions(house: House) -> None:
    front = Front.of()
    log = FakeLog(front.bridge)
    socket = await house.one(front)
    await socket.result("subscribe")
    log.failure = SessionNotFound(SESSION)
    log.pulse()
    ended = await socket.next()
    assert (ended["method"], ended["params"]["error"]["code"]) == ("subscription_ended", -32010)


async def test_a_host_that_comes_back_is_no_reason_to_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.subscriptions.HOST_RETRY_S", 0.01)
    front = Front.of()
    log = FakeLog(front.bridge)
    log.write("a")
    socket = await house.one(front)
    await socket.result("subscribe")
    assert texts(await socket.output()) == ["a"]
    log.failure = HostUnavailable()
    log.pulse()
    before = len(log.polls)
    await until(lambda: len(log.polls) > before + 2)
    log.failure = None
    log.write("b")
    assert texts(await socket.output()) == ["b"]


async def test_a_host_that_stays_away_is_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.subscriptions.HOST_RETRY_S", 0.01)
    monkeypatch.setattr("rpc.subscriptions.HOST_AWAY_S", 0.05 - subscriptions.POLL_S)
    front = Front.of()
    log = FakeLog(front.bridge)
    socket = await house.one(front)
    await socket.result("subscribe")
    log.failure = HostUnavailable()
    log.pulse()
    ended = await socket.next()
    assert ended["params"]["error"]["code"] == -32041
    assert ended["params"]["cursor"] == 0


async def test_a_client_that_does_not_read_holds_little(house: House) -> None:
    """40 subscriptions at 40 places of a log of 20 MB: pages are forgotten, and read again when there is room."""
    front = Front.of(ws_page_bytes=64 << 10, ws_held_bytes=256 << 10)
    log = FakeLog(front.bridge)
    log.write(*["x" * 20_000] * 1000)
    client = await house.serve(front)
    socket = await house.connect(client)
    cursors = [25 * number for number in range(40)]
    for cursor in cursors:
        await socket.request("subscribe", cursor=cursor)
    # without a reader it comes to rest
    polls = -1
    while polls != len(log.polls):
        polls = len(log.polls)
        await asyncio.sleep(0.2)
    assert 0 < figures(client).unsent_bytes <= (256 << 10) + (256 << 10)  # pages, and what the transport holds

    other = await house.connect(client)
    assert (await other.result("whoami"))["user"] == "ann"
    assert (await other.result("subscribe", cursor=999))["subscription"] == 1
    assert (await other.output())["cursor"] == 1000

    seen: dict[int, list[int]] = {number: [] for number in range(1, 41)}
    while any(not reached or reached[-1] < 1000 for reached in seen.values()):
        message = json.loads(await socket.text())
        if message.get("method") == "output":
            seen[message["params"]["subscription"]] += [event["seq"] for event in message["params"]["events"]]
    assert seen == {number: list(range(cursor + 1, 1001)) for number, cursor in enumerate(cursors, 1)}


async def test_a_client_that_never_reads_again_is_dropped(house: House) -> None:
    front = Front.of(ws_ping_s=0.05, ws_silence_s=0.3)
    log = FakeLog(front.bridge)
    log.write(*["x" * 20_000] * 1000)
    client = await house.serve(front)
    socket = await house.connect(client)
    await socket.request("subscribe")
    await until(lambda: figures(client).unsent_bytes > 0)
    await until(lambda: counts(client) == (0, 0, 0))
    assert figures(client).unsent_bytes == 0


async def test_five_hundred_subscriptions(house: House) -> None:
    front = Front.of()
    log = FakeLog(front.bridge)
    client = await house.serve(front)
    sockets = [await house.connect(client) for _ in range(10)]
    for socket in sockets:
        for _ in range(50):
            await socket.result("subscribe")
    log.write("first")
    writing = asyncio.create_task(_write(log, 499))
    for socket in sockets:
        seen: dict[int, list[int]] = {number: [] for number in range(1, 51)}
        while any(not reached or reached[-1] < 500 for reached in seen.values()):
            page = await socket.output()
            seen[page["subscription"]] += [event["seq"] for event in page["events"]]
        assert all(reached == list(range(1, 501)) for reached in seen.values())
    await writing
    assert counts(client) == (10, 500, 1)
