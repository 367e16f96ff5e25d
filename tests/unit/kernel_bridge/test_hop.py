"""Both ends of the hop over a real ipc socket, with a service that the test controls."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import msgspec
import pytest
import zmq

from kernel_bridge import hop, hop_server, runtime_dir
from kernel_bridge.client import HostClient
from kernel_bridge.errors import CellNotFound, HostUnavailable, ShuttingDown
from kernel_bridge.faults import HostFailed
from kernel_bridge.hop_secret import NAME, make_secret
from kernel_bridge.hop_server import HopServer
from kernel_bridge.runtime_dir import HOST_SOCKET
from kernel_bridge.service import Service

CALLER = hop.Caller("u", "user")
ANSWER_S = 10.0


class Script:
    """Stands for the host's service: notes what comes, and answers by the code of an evaluate."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.came = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go = asyncio.Event()
        self.done = asyncio.Event()

    def evaluate(self, asked: hop.Evaluate) -> bytes | None:
        if not asked.code.startswith("at once"):
            return None  # `answer` does it
        self.seen.append(asked.code)
        if asked.code == "at once missing":
            raise CellNotFound("c")
        if asked.code == "at once broken":
            raise ValueError("words of the host's own")
        return msgspec.json.encode(asked.code)

    async def answer(self, asked: hop.AnyRequest) -> bytes:
        if isinstance(asked, hop.CloseSession):
            self.came.set()
            await self._wait()
            self.done.set()
        if not isinstance(asked, hop.Evaluate):
            self.seen.append(type(asked).__name__)
            return b"{}"
        self.seen.append(asked.code)
        self.came.set()
        if asked.code == "missing":
            raise CellNotFound("c")
        if asked.code == "broken":
            raise ValueError("words of the host's own")
        if asked.code == "wait":
            await self._wait()
        return msgspec.json.encode(asked.code)

    async def _wait(self) -> None:
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Hop:
    def __init__(self, state_dir: Path, sockets: Path) -> None:
        self.state_dir = state_dir
        self.sockets = sockets
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.script = Script()
        self.server: HopServer | None = None
        self.client = HostClient(state_dir, "test", silence_s=0.5)

    def serve(self) -> HopServer:
        welcome = hop.Welcome(hop.PROTO, "test", "hosthost", secrets.token_hex(4))
        service = cast("Service", self.script)
        secret = make_secret(self.state_dir)
        self.server = HopServer(self.context, self.sockets / HOST_SOCKET, secret, welcome, service)
        return self.server

    async def evaluate(self, code: str, timeout_s: float = ANSWER_S) -> bytes:
        request = hop.Evaluate(caller=CALLER, session="s", code=code)
        return (await self.client.call(request, timeout_s=timeout_s)).raw


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncGenerator[Hop]:
    sockets = runtime_dir.create(tmp_path)
    made = Hop(tmp_path, sockets)
    running = asyncio.create_task(made.client.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])
        if made.server is not None:
            await made.server.close()
        made.context.term()
        runtime_dir.remove(sockets)


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncGenerator[Hop]:
    async with opened(tmp_path) as made:
        made.serve()
        assert await made.client.wait_ready(ANSWER_S)
        yield made


async def test_an_answer_is_passed_on_as_it_is(ends: Hop) -> None:
    assert await ends.evaluate("ŝ𝔸") == '"ŝ𝔸"'.encode()


async def test_errors_are_raised_again(ends: Hop) -> None:
    with pytest.raises(CellNotFound) as error:
        await ends.evaluate("missing")
    assert error.value.cell == "c"
    with pytest.raises(HostFailed) as unknown:
        await ends.evaluate("broken")
    assert "words" not in str(unknown.value)
    assert await ends.evaluate("on") == b'"on"'


async def test_calls_keep_their_order(ends: Hop) -> None:
    codes = [str(number) for number in range(200)]
    answers = await asyncio.gather(*(ends.evaluate(code) for code in codes))
    assert ends.script.seen == codes
    assert answers == [f'"{code}"'.encode() for code in codes]


async def test_an_evaluate_that_is_done_at_once_is_answered_as_any_other(ends: Hop) -> None:
    assert await ends.evaluate("at once") == b'"at once"'
    with pytest.raises(CellNotFound):
        await ends.evaluate("at once missing")
    with pytest.raises(HostFailed):
        await ends.evaluate("at once broken")


async def test_no_evaluate_overtakes_a_call_that_came_before_it(ends: Hop) -> None:
    restart = hop.Restart(caller=CALLER, session="s")
    async with asyncio.timeout(ANSWER_S):
        await asyncio.gather(
            ends.client.call(restart, timeout_s=ANSWER_S),
            ends.evaluate("at once 1"),
            ends.evaluate("2"),
            ends.evaluate("at once 3"),
        )
    assert ends.script.seen == ["Restart", "at once 1", "2", "at once 3"]


async def test_a_caller_that_goes_ends_its_wait_at_the_host(ends: Hop) -> None:
    call = asyncio.create_task(ends.evaluate("wait"))
    await ends.script.came.wait()
    call.cancel()
    async with asyncio.timeout(ANSWER_S):
        await ends.script.cancelled.wait()


async def test_a_call_that_takes_too_long_is_given_up(ends: Hop) -> None:
    with pytest.raises(HostUnavailable):
        await ends.evaluate("wait", timeout_s=0.1)
    async with asyncio.timeout(ANSWER_S):
        await ends.script.cancelled.wait()


async def test_without_a_host_calls_fail_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as made:
        with pytest.raises(HostUnavailable):
            await made.evaluate("1")
        assert not made.client.ready


async def test_a_host_that_comes_later_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as made:
        assert not await made.client.wait_ready(0.05)
        made.serve()
        assert await made.client.wait_ready(ANSWER_S)
        assert await made.evaluate("1") == b'"1"'


async def test_a_host_that_goes_fails_the_calls_under_way_and_none_is_sent_again(ends: Hop) -> None:
    call = asyncio.create_task(ends.evaluate("wait"))
    await ends.script.came.wait()
    gone = ends.server
    assert gone is not None
    gone._channel.close()  # pyright: ignore[reportPrivateUsage]  as a crash does: without a word
    with pytest.raises(HostUnavailable):
        await call
    await gone.close()
    ends.serve()
    assert await ends.client.wait_ready(ANSWER_S)
    assert await ends.evaluate("after") == b'"after"'
    assert ends.script.seen == ["wait", "after"]


async def test_a_replaced_host_is_noticed_by_its_instance(ends: Hop) -> None:
    call = asyncio.create_task(ends.evaluate("wait"))
    await ends.script.came.wait()
    assert ends.server is not None
    ends.server._welcome = hop.Welcome(hop.PROTO, "test", "hosthost", "another")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(HostUnavailable):
        await call
    assert await ends.client.wait_ready(ANSWER_S)


async def test_calls_that_wait_for_a_replaced_or_frozen_host_are_never_run_later(ends: Hop) -> None:
    gone = ends.server
    assert gone is not None
    gone._channel.close()  # pyright: ignore[reportPrivateUsage]  as a crash does: without a word
    await gone.close()
    calls = [asyncio.create_task(ends.evaluate("told that it failed")) for _ in range(3)]
    await asyncio.sleep(0)
    ends.serve()  # before the client has noticed: its messages reach the new host
    for call in calls:
        with pytest.raises(HostUnavailable):
            await call
    assert await ends.client.wait_ready(ANSWER_S)
    assert await ends.evaluate("now") == b'"now"'
    assert ends.script.seen == ["now"]


async def test_an_expired_call_is_not_run(ends: Hop) -> None:
    request = hop.Evaluate(caller=CALLER, session="s", code="too late")
    hello = msgspec.msgpack.encode(hop.Hello(hop.PROTO, "x", make_secret(ends.state_dir)))
    late = msgspec.msgpack.encode(hop.Call(1, request, expires=1.0))
    answers = await raw(ends, hello, late)
    assert isinstance(answers[1], hop.Reply)
    assert answers[1].fault is not None
    assert answers[1].fault.kind == "HostUnavailable"
    assert ends.script.seen == []


async def test_what_changes_something_is_done_though_its_caller_goes(ends: Hop) -> None:
    closing = hop.CloseSession(caller=CALLER, session="wait", delete=True)
    call = asyncio.create_task(ends.client.call(closing, timeout_s=ANSWER_S))
    await ends.script.came.wait()
    call.cancel()
    await asyncio.wait([call])
    ends.script.go.set()
    async with asyncio.timeout(ANSWER_S):
        await ends.script.done.wait()
    assert not ends.script.cancelled.is_set()


async def test_a_call_that_is_cancelled_at_once_has_begun(ends: Hop) -> None:
    call = asyncio.create_task(ends.evaluate("wait"))
    await asyncio.sleep(0)
    call.cancel()
    async with asyncio.timeout(ANSWER_S):
        await ends.script.cancelled.wait()
    assert ends.script.seen == ["wait"]


async def test_a_host_that_stops_says_so(ends: Hop) -> None:
    call = asyncio.create_task(ends.evaluate("wait"))
    await ends.script.came.wait()
    assert ends.server is not None
    ends.server.refuse_calls()
    with pytest.raises(ShuttingDown):
        await ends.evaluate("new")
    ends.script.go.set()
    assert await call == b'"wait"'


async def raw(ends: Hop, *messages: bytes) -> list[hop.FromHost]:
    """What the host answers to a stranger's messages."""
    socket = ends.context.socket(zmq.DEALER)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(f"ipc://{ends.sockets / HOST_SOCKET}")
        answers: list[hop.FromHost] = []
        for message in messages:
            socket.send(message)
            for _ in range(1000):
                if socket.poll(0):
                    answers.append(msgspec.msgpack.decode(socket.recv(), type=hop.FromHost))
                    break
                await asyncio.sleep(0.005)
        return answers
    finally:
        socket.close()


async def test_strangers_are_refused_unheard(ends: Hop) -> None:
    call = msgspec.msgpack.encode(hop.Call(1, hop.Evaluate(caller=CALLER, session="s", code="stolen")))
    hello = msgspec.msgpack.encode(hop.Hello(hop.PROTO, "x", b"guess"))
    old = msgspec.msgpack.encode(hop.Hello(hop.PROTO + 7, "x", make_secret(ends.state_dir)))
    answers = await raw(ends, call, hello, call, old, b"\xc1 rubbish", b"")
    assert [type(answer) for answer in answers] == [hop.Refused] * 6
    assert ends.script.seen == []


async def test_members_that_a_newer_front_adds_are_ignored(ends: Hop) -> None:
    hello = {"type": "hello", "proto": hop.PROTO, "version": "9", "secret": make_secret(ends.state_dir), "new": 1}
    answers = await raw(ends, msgspec.msgpack.encode(hello))
    assert isinstance(answers[0], hop.Welcome)


async def test_a_silent_front_is_forgotten_with_its_waits(ends: Hop, monkeypatch: pytest.MonkeyPatch) -> None:
    call = asyncio.create_task(ends.evaluate("wait"))
    await ends.script.came.wait()
    monkeypatch.setattr(hop_server, "FRONT_SILENCE_S", -1.0)
    assert ends.server is not None
    ends.server.forget_silent()
    async with asyncio.timeout(ANSWER_S):
        await ends.script.cancelled.wait()
    call.cancel()


def test_the_secret_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    secret = make_secret(tmp_path)
    assert len(secret) >= 32
    assert make_secret(tmp_path) == secret
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    (tmp_path / NAME).chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        make_secret(tmp_path)
