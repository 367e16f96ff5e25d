"""Several fronts on one port: any of them dies, stands still or is cut off, and nobody loses anything."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e import raw_call
from tests.e2e.client import CallFailed, Client
from tests.e2e.conftest import Starter
from tests.e2e.counting import CELL, Counting, lines
from tests.e2e.patient import Reader, persistent
from tests.e2e.processes import Process
from tests.e2e.service import STOP_S, Service
from tests.e2e.workers import at, client_at, fronts, replaced

END_S = 20.0
KNOWN_S = 2.0
"""what is said at one front holds at all of them"""
ONCE = "import time\nopen('ran', 'a').write('x')\ntime.sleep(1)\nopen('ran').read()"


@pytest.fixture
async def two(start: Starter, http: aiohttp.ClientSession) -> AsyncIterator[Client]:
    """A client of a service with two fronts, which the test may kill; stopped, and checked, after it."""
    service = start(arguments=["--workers", "2"])
    yield await Client(http, service).log_in()
    await asyncio.to_thread(start.started[-1].stop)


async def _kill(process: Process) -> float:
    """SIGKILL; when it was, in seconds since 1970."""
    os.kill(process.pid, signal.SIGKILL)
    assert await asyncio.to_thread(process.wait, END_S)
    return time.time()


async def _figures(service: Service, session: aiohttp.ClientSession) -> dict[str, float]:
    """A scrape: what has no other label than the worker's."""
    async with session.get(f"{service.url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: sample.value for sample in samples if set(sample.labels) <= {"worker", "version"}}


async def test_each_front_says_who_it_is(two: Client) -> None:
    assert sorted(fronts(two.service)) == ["front-1", "front-2"]
    for name in ("front-1", "front-2"):
        async with client_at(two, name) as client:
            await client.call("whoami")
            async with client.http.get(f"{two.service.url}/metrics") as answer:
                text = await answer.text()
            async with client.http.get(f"{two.service.url}/readyz") as answer:
                assert answer.status == 200
        workers = {s.labels.get("worker") for f in text_string_to_metric_families(text) for s in f.samples}
        assert workers == {name, None}  # None: the host's own figures
    log = two.service.log.read_text()
    assert all(f'"process":"{name}"' in log for name in ("front-1", "front-2"))


async def test_both_fronts_die_in_turn_while_a_cell_prints(two: Client) -> None:
    polling, watching, late = Reader(two), Reader(two), Reader(two)
    counting = await Counting.start(two)
    readers = [
        asyncio.create_task(polling.poll_until_done(CELL)),
        asyncio.create_task(watching.watch_until_done(CELL)),
    ]
    killed: list[float] = []
    for name in ("front-1", "front-2"):
        old = fronts(two.service)[name]
        killed.append(await _kill(old))
        await replaced(two.service, name, old)
        two.service.remember()
    await two.until("stream", cursor=(await two.cell(CELL)).cursor)
    counting.stop()

    await asyncio.gather(*readers)
    await late.poll_until_done(CELL)
    for reader in (polling, watching, late):
        reader.check()
        assert reader.events == polling.events
    printed = lines(polling.text_of(CELL))
    assert printed == list(range(len(printed)))
    assert watching.begins > 1  # it was at one of them
    times = [datetime.fromisoformat(event.time).timestamp() for event in polling.events if event.type == "stream"]
    assert times[0] < killed[0] < killed[1] < times[-1]
    assert (await two.cell(CELL)).end == "ok"


async def test_a_connection_is_cut_in_the_middle_of_a_long_poll(two: Client) -> None:
    workdir = Path((await two.evaluate("import time, os; print(os.getcwd())")).text.strip())
    await two.evaluate(
        "print('one', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('two')", wait=0, cell="slow"
    )
    seen = (await two.poll((await two.until("stream", text="one\n")).seq, wait=0)).cursor
    async with at(two.service, "front-1") as first, at(two.service, "front-2") as second:
        polling = raw_call.send(two, "poll_output", {"cursor": seen, "cell": "slow", "wait": 300})
        try:
            await _until(lambda: _waiting(two.service, first, second), 1)
        finally:
            raw_call.reset(polling)
        await _until(lambda: _waiting(two.service, first, second), 0)
    (workdir / "go").touch()
    reader = Reader(two)
    await reader.poll_until_done("slow")
    reader.check()
    assert reader.text_of("slow") == "one\ntwo\n"


async def test_a_cell_that_is_sent_again_runs_once(two: Client) -> None:
    """After a cut connection, at another front, and after the end of all fronts."""
    waiting = raw_call.send(two, "evaluate", {"code": ONCE, "cell": "once", "wait": 60})
    try:
        await two.until("execute_input")
    finally:
        raw_call.reset(waiting)
    for name in ("front-1", "front-2"):
        async with client_at(two, name) as client:
            cell = await client.evaluate(ONCE, cell="once", wait=0)
            assert cell.state == "running"
    for old in fronts(two.service).values():
        await _kill(old)
    cell = await persistent(lambda: two.evaluate(ONCE, cell="once"))
    assert (cell.end, cell.text) == ("ok", "'x'")
    two.service.remember()
    with pytest.raises(CallFailed, match="-32013"):
        await two.evaluate("1", cell="once")


async def test_pending_input_outlives_the_fronts(two: Client) -> None:
    await two.evaluate("name = input('name? '); name", wait=0, cell="asking", allow_stdin=True)
    asked = await two.until("input_request")
    for name, old in fronts(two.service).items():
        await _kill(old)
        await replaced(two.service, name, old)
    assert (await persistent(lambda: two.cell("asking"))).state == "waiting_input"
    await two.call("input_reply", id=asked.content["id"], value="Ada")
    await two.done("asking")
    assert (await two.cell("asking")).text.endswith("'Ada'")
    two.service.remember()


async def test_a_log_out_at_one_front_holds_at_the_other(two: Client) -> None:
    script = await two.call("create_token", name="script", scopes=["read"])
    two.service.private.add(script["token"])
    async with at(two.service, "front-1") as first, at(two.service, "front-2") as second:
        one = await Client(first, two.service).log_in()
        other = replace(one, http=second)
        await other.call("whoami")  # at once: a token needs no database
        await one.call("logout")
        began = time.monotonic()
        await _until(lambda: _is_refused(other), True)
        assert time.monotonic() - began < KNOWN_S
        assert await _is_refused(one)

        own = replace(two, http=second)
        await replace(own, token=script["token"]).call("list_sessions")
        await replace(own, http=first).call("logout_all")
        began = time.monotonic()
        for ended in (own, replace(own, token=script["token"])):
            await _until(partial(_is_refused, ended), True)
        assert time.monotonic() - began < KNOWN_S
        await (await Client(first, two.service).log_in()).call("whoami")
        again = await Client(second, two.service).log_in()
        await replace(again, http=first).call("whoami")


async def test_a_frozen_front_is_replaced(start: Starter, http: aiohttp.ClientSession) -> None:
    service = start(arguments=["--workers", "2"], extra={"KERNELWIRE_SERVE__FRONT_SILENCE_S": "2"})
    client = await Client(http, service).log_in()
    async with client_at(client, "front-2") as stuck:
        await stuck.call("whoami")
        old = fronts(service)["front-2"]
        os.kill(old.pid, signal.SIGSTOP)
        with pytest.raises(aiohttp.ClientError):  # what it had in hand is cut, not left to wait
            await stuck.call("whoami")
    await replaced(service, "front-2", old)
    assert not old.alive()  # not before: its sockets close a moment ahead of its end
    await persistent(lambda: client.call("whoami"))
    service.stop()


async def test_what_stood_still_itself_replaces_nobody(start: Starter, http: aiohttp.ClientSession) -> None:
    """The supervisor alone, then all of them, as on a machine that was suspended, for longer than either silence."""
    silence = {"KERNELWIRE_SERVE__FRONT_SILENCE_S": "3", "KERNELWIRE_SERVE__HOST_SILENCE_S": "3"}
    service = start(arguments=["--workers", "2"], extra=silence)
    client = await Client(http, service).log_in()
    assert (await client.evaluate("kept = 41")).end == "ok"
    children = [*fronts(service).values(), service.one("_host")]
    for stopped in ([service.process.pid], [service.process.pid, *(child.pid for child in children)]):
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(4)  # the time is what is tested
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        cell = await persistent(lambda: client.evaluate("kept + 1"))
        assert cell.text == "42"
    assert [*fronts(service).values(), service.one("_host")] == children
    assert "child_" not in service.log.read_text()
    service.stop()


async def test_all_of_it_is_killed_and_started_again(start: Starter, http: aiohttp.ClientSession) -> None:
    """Tokens, cells and log-outs outlive everything: a clean stop, and SIGKILL of all."""
    service = start(arguments=["--workers", "2"])
    client = await Client(http, service).log_in()
    other = await client.log_in()
    await other.call("logout")
    script = await client.call("create_token", name="script", scopes=["read"])
    service.private.add(script["token"])
    cell = await client.evaluate("6 * 7", cell="before")
    await asyncio.to_thread(service.stop)

    for _ in range(2):
        service = start(arguments=["--workers", "2"])
        client = replace(client, service=service)
        assert await client.cell("before") == cell
        assert (await client.evaluate("6 * 7", cell="before")).execution_count == cell.execution_count
        assert (await replace(client, token=script["token"]).call("list_sessions"))["sessions"]
        assert await _is_refused(replace(other, service=service))
        service.remember()
        service.kill()
        for process in [*fronts(service).values(), service.one("_host")]:
            os.kill(process.pid, signal.SIGKILL)
            assert await asyncio.to_thread(process.wait, END_S)
    await asyncio.to_thread(start().stop)


async def test_the_supervisor_dies_and_no_front_keeps_the_port(start: Starter, http: aiohttp.ClientSession) -> None:
    """Not even one that stands still: the next `serve` takes the same port, and finds host and kernels."""
    service = start(arguments=["--workers", "2"])
    client = await Client(http, service).log_in()
    await client.evaluate("kept = 41")
    host, running, kernels = service.one("_host"), fronts(service), service.kernels()
    os.kill(running["front-2"].pid, signal.SIGSTOP)

    service.kill()

    for front in running.values():
        assert await asyncio.to_thread(front.wait, END_S)
    again = start(arguments=["--workers", "2", "--port", str(service.port)])
    assert again.one("_host") == host
    follower = replace(client, service=again)
    # the client may still hold a connection to a front that is gone
    assert (await persistent(lambda: follower.evaluate("kept + 1"))).text == "42"
    again.seen |= {host, *kernels}
    await asyncio.to_thread(again.stop)


async def test_one_that_cannot_be_ended_politely_is_ended(start: Starter, http: aiohttp.ClientSession) -> None:
    """Ctrl-C with a front and the host at a standstill; a second one does not wait for them."""
    service = start(arguments=["--workers", "2"])
    client = await Client(http, service).log_in()
    await client.evaluate("1")
    service.remember()
    for process in (fronts(service)["front-1"], service.one("_host")):
        os.kill(process.pid, signal.SIGSTOP)
    service.press_ctrl_c()
    await asyncio.sleep(0.5)
    service.press_ctrl_c()
    assert await asyncio.to_thread(service.process.wait, STOP_S) == 0
    assert not [process for process in service.seen if process.alive()]
    assert not service.sockets.exists()


async def _waiting(service: Service, *sessions: aiohttp.ClientSession) -> float:
    return sum([(await _figures(service, session))["kernelwire_long_polls"] for session in sessions])


async def _until(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(END_S):
        while True:
            if await ask() == wanted:
                return
            await asyncio.sleep(0.02)


async def _is_refused(client: Client) -> bool:
    """Whether its token is revoked."""
    answer = await client.post({"jsonrpc": "2.0", "id": 1, "method": "whoami"})
    if answer.status == 200:
        return False
    failure = answer.failure()
    assert (answer.status, failure.code, failure.data) == (401, -32002, {"reason": "revoked"})
    return True
