"""A host that stands still or loops is ended and replaced if it is ours, and only reported if it is on its own."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from tests.e2e import lone_host
from tests.e2e.client import CallFailed, Client
from tests.e2e.conftest import Starter
from tests.e2e.counting import CELL, Counting, lines
from tests.e2e.patient import Reader, persistent
from tests.e2e.processes import Process
from tests.e2e.service import STOP_S, Service

END_S = 30.0
SHORT = {"KERNELWIRE_SERVE__HOST_SILENCE_S": "4", "KERNELWIRE_BRIDGE__HOP_SILENCE_S": "2"}
"""short, and yet not reached by a host that only waits for its turn on a busy machine"""
LOOPS = """
import sys
if "_host" in sys.orig_argv:
    from kernel_bridge.service import Service
    answer = Service.answer
    async def looping(self, asked, **more):
        while type(asked).__name__ == "Inspect" and asked.code == "loop":
            pass
        return await answer(self, asked, **more)
    Service.answer = looping
"""


def _stop(process: Process) -> None:
    os.kill(process.pid, signal.SIGSTOP)


async def _next_host(service: Service, old: Process) -> Process:
    assert await asyncio.to_thread(old.wait, END_S), "the host was not ended"
    await persistent(lambda: _ready(service))
    service.remember()
    return service.one("_host")


async def _ready(service: Service) -> None:
    """Raises ConnectionError until /readyz says that calls would be served."""
    async with aiohttp.ClientSession() as http, http.get(f"{service.url}/readyz") as answer:
        if answer.status != 200:
            raise ConnectionError(await answer.text())


async def _log_line(service: Service, words: str) -> str:
    """The line of the service's log, once it is there."""
    until = time.monotonic() + END_S
    while time.monotonic() < until:
        for line in service.log.read_text().splitlines():
            if words in line:
                return line
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {words} in {service.log.read_text()}")


async def test_a_host_that_stands_still_is_replaced(start: Starter, http: aiohttp.ClientSession) -> None:
    """Calls are told to come again, and by and by they are answered, by the front that was there all the time."""
    service = start(extra=SHORT)
    client = await Client(http, service).log_in()
    cell = await persistent(lambda: client.evaluate("'before'", cell="before"))
    old, front = service.one("_host"), service.one("_front")

    _stop(old)

    failure = await client.fails(-32041, "evaluate", code="1", cell="meanwhile")
    assert failure.data is not None
    assert failure.data["retry_after_s"] > 0
    assert await _next_host(service, old) != old
    assert '"name":"host"' in await _log_line(service, "child_frozen")
    assert await persistent(lambda: client.cell("before")) == cell
    assert (await persistent(lambda: client.evaluate("6 * 7", cell="meanwhile"))).text == "42"
    assert service.one("_front") == front
    await asyncio.to_thread(service.stop)


async def test_its_kernels_live_on(start: Starter, http: aiohttp.ClientSession) -> None:
    service = start(extra=SHORT)
    client = await Client(http, service).log_in()
    await persistent(lambda: client.evaluate("kept = 41"))
    kernel = service.kernel_of(client.session)
    old = service.one("_host")
    _stop(old)
    await _next_host(service, old)
    assert (await persistent(lambda: client.evaluate("kept + 1"))).text == "42"
    assert service.kernel_of(client.session) == kernel
    await asyncio.to_thread(service.stop)


async def test_a_cell_prints_on_while_the_host_stands_still(start: Starter, http: aiohttp.ClientSession) -> None:
    """Its kernel is asked by the next host: what it printed is there, or there is one gap that says so."""
    service = start(extra=SHORT, arguments=["--workers", "2"])
    client = await Client(http, service).log_in()
    reader = Reader(client)
    counting = await Counting.start(client)
    reading = asyncio.create_task(reader.poll_until_done(CELL))
    old = service.one("_host")
    _stop(old)
    await _next_host(service, old)
    so_far = await persistent(lambda: client.cell(CELL))
    await persistent(lambda: client.until("stream", cursor=so_far.cursor))
    counting.stop()
    await reading

    reader.check()
    assert (await client.cell(CELL)).end == "ok"
    assert [event.cell for event in reader.events if event.type == "gap"] == [CELL]
    printed = lines(reader.text_of(CELL))
    assert printed == sorted(set(printed))
    assert printed[0] == 0
    assert len([event for event in reader.events if event.type == "execute_input" and event.cell == CELL]) == 1
    await asyncio.to_thread(service.stop)


async def test_a_host_that_loops_is_replaced(start: Starter, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """It runs, it takes a core, and it answers nobody."""
    (tmp_path / "sitecustomize.py").write_text(LOOPS)
    service = start(extra={**SHORT, "PYTHONPATH": str(tmp_path)})
    client = await Client(http, service).log_in()
    cell = await persistent(lambda: client.evaluate("'before'", cell="before"))
    old = service.one("_host")
    with pytest.raises(CallFailed, match="-32041"):
        await client.call("inspect", code="loop")
    await _next_host(service, old)
    assert await persistent(lambda: client.cell("before")) == cell
    assert (await persistent(lambda: client.evaluate("6 * 7"))).text == "42"
    await asyncio.to_thread(service.stop)


async def test_a_host_of_a_serve_that_was_killed_is_replaced_too(start: Starter, http: aiohttp.ClientSession) -> None:
    first = start()
    client = await Client(http, first).log_in()
    cell = await persistent(lambda: client.evaluate("'before'", cell="before"))
    old = first.one("_host")
    first.kill()
    _stop(old)

    service = start(extra=SHORT)
    await _next_host(service, old)
    client = replace(client, service=service)
    assert await persistent(lambda: client.cell("before")) == cell
    assert (await persistent(lambda: client.evaluate("6 * 7"))).text == "42"
    await asyncio.to_thread(service.stop)


async def test_a_host_on_its_own_is_reported_and_left_alone(
    start: Starter, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Whoever runs it decides about it: it may be under a debugger."""
    with lone_host.running(tmp_path / "state", tmp_path / "home") as host:
        service = start(extra=SHORT)
        client = await Client(http, service).log_in()
        await persistent(lambda: client.evaluate("kept = 41"))
        os.kill(host.pid, signal.SIGSTOP)
        assert f'"foreign_pid":{host.pid}' in await _log_line(service, "foreign_silent")
        await client.fails(-32041, "evaluate", code="1")
        os.kill(host.pid, signal.SIGCONT)
        await _log_line(service, "foreign_heard")
        assert (await persistent(lambda: client.evaluate("kept + 1"))).text == "42"
        service.press_ctrl_c()
        assert await asyncio.to_thread(service.process.wait, STOP_S) == 0
        assert host.process.poll() is None


async def test_a_host_on_its_own_is_followed_by_the_next_one(
    start: Starter, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """By one that somebody starts, and if nobody does, by one of `serve`."""
    state = tmp_path / "state"
    with lone_host.running(state, tmp_path / "home") as host:
        service = start(extra=SHORT)
        client = await Client(http, service).log_in()
        cell = await persistent(lambda: client.evaluate("'before'", cell="before"))
        host.kill()
        with lone_host.running(state, tmp_path / "home") as second:
            await _log_line(service, f'"host_pid":{second.pid}')
            assert await persistent(lambda: client.cell("before")) == cell
            second.kill()
        await _log_line(service, '"event":"host_ready"')  # the first one that writes into the log of `serve`
        assert service.one("_host")
        assert await persistent(lambda: client.cell("before")) == cell
        assert (await persistent(lambda: client.evaluate("6 * 7"))).text == "42"
        await asyncio.to_thread(service.stop)
