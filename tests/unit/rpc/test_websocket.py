"""GET /ws: the handshake, calls, order, bounds and the end, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType

from kernel_bridge import hop
from tests.unit.rpc.fakes import BARE_TOKEN, EXPIRED_TOKEN, PASSWORD, READ_TOKEN, TOKEN, Front
from tests.unit.rpc.ws import House, Socket, figures, until


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.close()


def codes(front: Front) -> list[str]:
    return [asked.code for asked in front.bridge.asked if isinstance(asked, hop.Evaluate)]


# -- handshake ---------------------------------------------------------------------------------------------------------

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/ws", {"Origin": "https://evil.example"}, 403, "Origin"),
        ("/ws", {"Origin": "null"}, 403, "Origin"),
        ("/ws", {"Origin": "http://127.0.0.1:1"}, 403, "Origin"),
        ("/ws", {"Host": "evil.example", "Origin": "http://evil.example"}, 421, "Host"),
        ("/ws", {"Host": "127.0.0.1.evil.example"}, 421, "Host"),
        ("/ws", {"Host": "a b"}, 400, "Host"),
        ("/ws", {"Upgrade": "h2c"}, 426, "WebSocket"),
        ("/ws", {"Sec-WebSocket-Version": "12"}, 426, "WebSocket"),
        ("/ws", {"Sec-WebSocket-Protocol": TOKEN}, 400, "Sec-WebSocket-Protocol"),
        (f"/ws?token={TOKEN}", {}, 400, "URL"),
        ("/ws", {"Authorization": f"Bearer {EXPIRED_TOKEN}"}, 401, "expired"),
        ("/ws", {"Authorization": "Basic x"}, 401, ""),
    ],
)
async def test_refused_handshakes(house: House, path: str, headers: dict[str, str], status: int, words: str) -> None:
    client = await house.serve(Front.of())
    async with client.get(path, headers={**UPGRADE, **headers}) as response:
        body = await response.json()
        assert (response.status, body["id"]) == (status, None)
        assert body["error"]["code"] == (-32002 if status == 401 else -32600)
        assert words in body["error"]["message"]
        assert ("WWW-Authenticate" in response.headers) is (status == 401)
    assert figures(client).connections == 0


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "127.9.8.7", "[::1]"])
async def test_pages_of_the_host_itself_may_connect(house: House, name: str) -> None:
    client = await house.serve(Front.of())
    host = f"{name}:{client.port}"
    socket = await house.connect(client, Host=host, Origin=f"http://{host}")
    assert (await socket.result("whoami"))["user"] == "ann"


async def test_a_plain_get_is_told_what_to_do(house: House) -> None:
    client = await house.serve(Front.of())
    async with client.get("/ws") as response:
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
    async with client.post("/ws", json={}) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_too_many_websockets(house: House) -> None:
    client = await house.serve(Front.of(ws_connections=1))
    first = await house.connect(client)
    async with client.get("/ws", headers=UPGRADE) as response:
        body = await response.json()
        assert (response.status, body["error"]["data"]) == (503, {"limit": "ws_connections", "value": 1})
        assert response.headers["Retry-After"] == "1"
    await first.ws.close()
    await until(lambda: figures(client).connections == 0)
    await house.connect(client)


async def test_a_draining_front_takes_none(house: House) -> None:
    front = Front.of()
    client = await house.serve(front)
    front.services.lifecycle.draining = True
    async with client.get("/ws", headers=UPGRADE) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (503, -32040)


# -- tokens ------------------------------------------------------------------------------------------------------------


async def test_the_token_of_the_handshake(house: House) -> None:
    socket = await house.one(Front.of())
    assert (await socket.result("whoami"))["scopes"] == ["evaluate", "read", "manage"]


async def test_a_call_without_any_token(house: House) -> None:
    socket = await house.one(Front.of(), None)
    answer = await socket.call("whoami")
    assert (answer["error"]["code"], answer["error"]["data"]) == (-32002, {"reason": "missing"})


async def test_a_call_s_own_token_goes_first(house: House) -> None:
    socket = await house.one(Front.of())
    assert (await socket.result("whoami", token=READ_TOKEN))["scopes"] == ["read"]
    assert (await socket.call("whoami", token=""))["error"]["data"] == {"reason": "missing"}
    assert (await socket.result("whoami"))["scopes"] == ["evaluate", "read", "manage"]


async def test_login_over_the_socket(house: House) -> None:
    socket = await house.one(Front.of(), None)
    failed = await socket.call("login", username="ann", password="wrong")
    assert failed["error"]["code"] == -32001
    assert (await socket.call("whoami"))["error"]["data"] == {"reason": "missing"}
    login = await socket.result("login", username="ann", password=PASSWORD)
    assert (await socket.result("whoami"))["session"] == login["session"]


async def test_after_logout_a_login_helps(house: House) -> None:
    front = Front.of()
    socket = await house.one(front)
    await socket.result("logout")
    assert (await socket.call("whoami"))["error"]["data"] == {"reason": "revoked"}
    front.authenticator.revoked.clear()
    await socket.result("login", username="ann", password=PASSWORD)
    assert (await socket.result("whoami"))["user"] == "ann"


# -- messages ----------------------------------------------------------------------------------------------------------


async def test_answers_as_over_http(house: House) -> None:
    socket = await house.one(Front.of())
    await socket.send('{"jsonrpc": "2.0", "method": "whoami", "id": 1.50}')
    assert '"id":1.50' in await socket.text()
    await socket.send("{")
    assert (await socket.next())["error"]["code"] == -32700
    await socket.send("")
    assert (await socket.next())["error"]["code"] == -32700
    await socket.send([])
    assert (await socket.next())["error"]["code"] == -32600
    assert (await socket.call("nothing"))["error"]["code"] == -32601
    assert (await socket.call("evaluate"))["error"]["data"]["member"] == "code"


async def test_batches_and_notifications(house: House) -> None:
    front = Front.of()
    socket = await house.one(front)
    note = {"jsonrpc": "2.0", "method": "evaluate", "params": ["note"]}
    call = {"jsonrpc": "2.0", "method": "evaluate", "params": ["call"], "id": "a"}
    await socket.send(note)
    await socket.send([note, note])
    await socket.send([note, call, 1, {**call, "id": "b"}])
    answers = await socket.next()
    assert [answer["id"] for answer in answers] == ["a", None, "b"]
    assert answers[1]["error"]["code"] == -32600
    assert codes(front) == ["note", "note", "note", "note", "call", "call"]


async def test_calls_are_sent_in_the_order_of_arrival(house: House) -> None:
    front = Front.of(long_polls=10_000)
    front.bridge.gate.clear()
    socket = await house.one(front)
    count = 250
    for number in range(count):
        call = {"jsonrpc": "2.0", "method": "evaluate", "params": {"code": str(number)}, "id": number}
        # a batch, a single call and a notification by turns: none may be faster than another
        note = {key: value for key, value in call.items() if key != "id"}
        shape: object = [call, call] if number % 3 == 0 else call if number % 3 == 1 else note
        await socket.send(shape)
    expected = [str(number) for number in range(count) for _ in range(2 if number % 3 == 0 else 1)]
    await until(lambda: len(front.bridge.asked) == len(expected))
    assert codes(front) == expected
    front.bridge.gate.set()
    for number in range(count):
        if number % 3 != 2:
            await socket.next()


async def test_answers_come_when_they_come(house: House) -> None:
    front = Front.of()
    front.bridge.gate.clear()
    socket = await house.one(front)
    slow = await socket.request("evaluate", code="slow")
    quick = await socket.request("whoami")
    assert (await socket.next())["id"] == quick
    front.bridge.gate.set()
    assert (await socket.next())["id"] == slow


async def test_a_binary_frame_ends_it(house: House) -> None:
    front = Front.of()
    socket = await house.one(front)
    await socket.ws.send_bytes(json.dumps({"jsonrpc": "2.0", "method": "evaluate", "params": ["x"]}).encode())
    assert await socket.closed() == 1003
    assert front.bridge.asked == []


async def test_text_that_is_not_utf8_ends_it(house: House) -> None:
    socket = await house.one(Front.of())
    await socket.ws.send_frame(b'"\xff"', WSMsgType.TEXT)
    assert await socket.closed() == 1007


async def test_a_message_up_to_the_limit(house: House) -> None:
    socket = await house.one(Front.of(body_bytes=1000))
    call = json.dumps({"jsonrpc": "2.0", "method": "whoami", "id": 1})
    await socket.send(call.ljust(1000))
    assert "result" in await socket.next()
    await socket.send(call.ljust(1001))
    assert await socket.closed() == 1009


async def test_messages_under_way_are_bounded(house: House) -> None:
    front = Front.of(ws_messages=2)
    front.bridge.gate.clear()
    socket = await house.one(front)
    for code in "abc":
        await socket.request("evaluate", code=code)
    await until(lambda: len(front.bridge.asked) == 2)
    await socket.ws.ping()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until(lambda: len(front.bridge.asked) > 2), 0.05)
    front.bridge.gate.set()
    assert [(await socket.next())["id"] for _ in "abc"] == [1, 2, 3]
    assert codes(front) == ["a", "b", "c"]


async def test_the_size_of_messages_under_way_is_bounded(house: House) -> None:
    front = Front.of(body_bytes=2000)
    front.bridge.gate.clear()
    socket = await house.one(front)
    for code in "abc":
        await socket.request("evaluate", code=code * 1200)
    await until(lambda: len(front.bridge.asked) == 2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until(lambda: len(front.bridge.asked) > 2), 0.05)
    front.bridge.gate.set()
    for _ in "abc":
        await socket.next()


async def test_results_of_all_messages_together_are_bounded(house: House) -> None:
    """For a client that asks and asks, and reads nothing: one page is more than the system takes at once."""
    front = Front.of(batch_answer_bytes=12 << 20)
    front.bridge.gate.clear()
    page = b'{"events":["%b"],"cursor":1,"oldest":1,"kernel_state":"idle","done":null}' % (b"x" * (8 << 20))
    front.bridge.answers[hop.PollOutput] = page
    socket = await house.one(front)
    for _ in range(3):
        await socket.request("poll_output")
    await until(lambda: len(front.bridge.asked) == 3)
    front.bridge.gate.set()
    answers = [await socket.next() for _ in range(3)]
    refused = [answer for answer in answers if "error" in answer]
    assert len(refused) == 2
    assert refused[0]["error"]["data"] == {"limit": "batch_answer_bytes", "value": 12 << 20}
    assert "result" in await socket.call("poll_output")  # those were sent: there is room again


async def test_long_polls_count(house: House) -> None:
    front = Front.of(long_polls=1)
    front.bridge.gate.clear()
    socket = await house.one(front)
    waiting = await socket.request("poll_output")
    await socket.request("poll_output")
    refused = await socket.next()
    assert refused["error"]["data"] == {"limit": "long_polls", "value": 1}
    front.bridge.gate.set()
    assert (await socket.next())["id"] == waiting


async def test_a_defect_of_ours_ends_one_call_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front.of()
    client = await house.serve(front)
    socket = await house.connect(client)

    def broken(*_: object) -> Any:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("rpc.envelope.read", broken)
    await socket.request("whoami")
    error = (await socket.next())["error"]
    assert (error["code"], list(error["data"])) == (-32603, ["request_id"])
    monkeypatch.undo()
    assert (await socket.result("whoami"))["user"] == "ann"


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_a_closed_websocket_ends_waits_but_no_call(house: House) -> None:
    front = Front.of()
    front.bridge.gate.clear()
    client = await house.serve(front)
    socket = await house.connect(client)
    for code in "abc":
        await socket.request("evaluate", code=code)
    await socket.ws.close()
    await until(lambda: figures(client).connections == 0)
    assert codes(front) == ["a", "b", "c"]
    assert [type(asked) for asked in front.bridge.cancelled] == [hop.Evaluate] * 3
    assert front.services.long_polls.waiting == 0
    assert front.services.lifecycle.requests == 0


async def test_a_cut_connection_ends_waits_but_no_call(house: House) -> None:
    front = Front.of()
    front.bridge.gate.clear()
    client = await house.serve(front)
    socket = await house.connect(client)
    await socket.request("evaluate", code="a")
    await until(lambda: codes(front) == ["a"])
    cut(socket)
    await until(lambda: figures(client).connections == 0)
    assert len(front.bridge.cancelled) == 1


async def test_draining_answers_what_is_under_way_and_says_1001(house: House) -> None:
    front = Front.of(drain_s=5.0)
    front.bridge.gate.clear()
    client = await house.serve(front)
    busy, idle = await house.connect(client), await house.connect(client)
    number = await busy.request("evaluate", code="a")
    await until(lambda: codes(front) == ["a"])
    closing = asyncio.create_task(client.server.close())
    assert await idle.closed() == 1001
    front.bridge.gate.set()
    assert (await busy.next())["id"] == number
    assert await busy.closed() == 1001
    await closing
    assert not front.services.lifecycle.cut


async def test_draining_is_bounded(house: House) -> None:
    front = Front.of(drain_s=0.05)
    front.bridge.gate.clear()
    client = await house.serve(front)
    socket = await house.connect(client)
    await socket.request("evaluate", code="a")
    await until(lambda: codes(front) == ["a"])
    async with asyncio.timeout(5):
        closing = asyncio.create_task(client.server.close())
        assert (await socket.next())["error"]["code"] == -32040
        assert await socket.closed() == 1001
        await closing


async def test_a_client_that_does_not_answer_pings_is_dropped(house: House) -> None:
    client = await house.serve(Front.of(ws_ping_s=0.01, ws_silence_s=0.1))
    ws = await client.ws_connect("/ws", autoping=False)
    async with asyncio.timeout(5):
        assert (await ws.receive()).type is WSMsgType.PING
        while (await ws.receive()).type is WSMsgType.PING:
            pass
    assert ws.close_code == 1006
    assert figures(client).connections == 0
    await ws.close()


async def test_a_client_that_answers_pings_is_kept(house: House) -> None:
    client = await house.serve(Front.of(ws_ping_s=0.01, ws_silence_s=0.1))
    ws = await client.ws_connect("/ws", autoping=False)
    async with asyncio.timeout(5):
        for _ in range(20):
            message = await ws.receive()
            assert message.type is WSMsgType.PING
            await ws.pong(message.data)
    assert figures(client).connections == 1
    await ws.close()


async def test_a_client_that_is_held_back_is_kept(house: House) -> None:
    """Its pongs wait behind a message that is not read yet."""
    front = Front.of(ws_ping_s=0.01, ws_silence_s=0.05, ws_messages=1)
    front.bridge.gate.clear()
    client = await house.serve(front)
    socket = await house.connect(client)
    for code in "ab":
        await socket.request("evaluate", code=code)
    reading = asyncio.create_task(socket.next())
    await asyncio.sleep(0.3)
    front.bridge.gate.set()
    assert (await reading)["id"] == 1
    assert (await socket.next())["id"] == 2


async def test_a_ping_is_answered(house: House) -> None:
    client = await house.serve(Front.of())
    ws = await client.ws_connect("/ws", autoping=False)
    await ws.ping(b"x")
    async with asyncio.timeout(5):
        message = await ws.receive()
    assert (message.type, message.data) == (WSMsgType.PONG, b"x")
    await ws.close()


async def test_no_token_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client = await house.serve(Front.of())
    socket = await house.connect(client)
    await socket.result("login", username="ann", password=PASSWORD)
    await socket.result("whoami", token=BARE_TOKEN)
    async with client.get("/ws", headers={**UPGRADE, "Sec-WebSocket-Protocol": TOKEN}) as response:
        assert response.status == 400
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "ws.opened" in text
    assert not [secret for secret in (TOKEN, BARE_TOKEN, PASSWORD) if secret in text]


def cut(socket: Socket) -> None:
    """Reset the connection, without a closing handshake."""
    transport: Any = socket.ws._response.connection.transport  # pyright: ignore
    assert isinstance(transport, asyncio.Transport)
    transport.abort()
