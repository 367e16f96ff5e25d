"""The failure matrix: what must hold when one process dies by SIGKILL."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from tests.e2e.client import CallFailed, Cell, Client, Event
from tests.e2e.conftest import Starter
from tests.e2e.service import Service

COUNTING = "import time\nfor i in range(15): time.sleep(0.1); print(i)"
COUNTED = "".join(f"{i}\n" for i in range(15))
SLEEP = "import time; time.sleep(60)"
END_S = 20.0


@pytest.fixture
async def own(start: Starter, http: aiohttp.ClientSession) -> AsyncIterator[Client]:
    """A client of a service that the test may do harm to; stopped, and checked, after it."""
    service = start()
    yield await Client(http, service).log_in()
    await asyncio.to_thread(start.started[-1].stop)


async def _persistent(client: Client, method: str, **params: object) -> dict[str, object]:
    """As clients are told to: after a connection error at once, after HostUnavailable when the answer says so."""
    failures: list[str] = []
    while len(failures) < 100:
        try:
            return await client.call(method, **params)
        except aiohttp.ClientError as error:
            failures.append(repr(error))
        except CallFailed as error:
            if error.failure.code != -32041 or error.failure.data is None:
                raise
            failures.append(str(error))
            await asyncio.sleep(error.failure.data["retry_after_s"])
    raise AssertionError(failures)


def _kill(service: Service, word: str) -> None:
    process = service.one(word)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(END_S)


async def test_the_front_dies(own: Client) -> None:
    await own.evaluate(COUNTING, wait=0, cell="counting")
    first = await own.until("stream")
    events = (await own.poll(0)).events
    polling = asyncio.create_task(own.call("poll_output", cursor=events[-1].seq + 3, wait=60))

    await asyncio.to_thread(_kill, own.service, "_front")

    # at most one call fails with the connection, the next one waits for the new front
    with pytest.raises((aiohttp.ClientError, CallFailed)):
        await polling
    await _persistent(own, "whoami")
    events += await _rest(own, events[-1].seq)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert "".join(event.content["text"] for event in events if event.type == "stream") == COUNTED
    assert first in events
    cell = await own.cell("counting")
    assert (cell.end, cell.text) == ("ok", COUNTED)
    own.service.remember()


async def test_the_supervisor_dies(own: Client, start: Starter) -> None:
    await own.evaluate("kept = 41")
    await own.evaluate(COUNTING, wait=0, cell="counting")
    await own.until("stream")
    front, host, kernels = own.service.one("_front"), own.service.one("_host"), own.service.kernels()

    own.service.kill()

    assert await asyncio.to_thread(front.wait, END_S)  # by itself
    assert host.alive()
    assert all(kernel.alive() for kernel in kernels)
    again = start()
    assert again.one("_host") == host
    client = replace(own, service=again)
    assert (await client.evaluate("kept + 1")).text == "42"
    assert (await client.cell("counting")).text == COUNTED
    again.seen |= {front, host, *kernels}  # Ctrl-C of the new one ends them all: checked by `own`
    own.service.check_log()


async def test_the_host_dies(own: Client) -> None:
    await own.evaluate("kept = 1")
    await own.evaluate(COUNTING, wait=0, cell="counting")
    await own.until("stream")
    for name in ("first", "second"):
        await own.evaluate(f"kept += 1; {name!r}, kept", wait=0, cell=name)
    waiting = asyncio.create_task(own.evaluate("'third'", cell="third", wait=60))
    await own.until("cell", state="queued", cursor=(await own.cell("second")).cursor)
    kernel = own.service.kernel_of(own.session)

    await asyncio.to_thread(_kill, own.service, "_host")

    with pytest.raises(CallFailed, match="-32041"):
        await waiting
    page = await _persistent(own, "poll_output", cursor=0, wait=0)
    assert page["cursor"]
    assert (await own.evaluate("'third'", cell="third", wait=60)).text == "'third'"  # a retry runs nothing twice
    counted = await own.cell("counting")
    numbers = [int(line) for line in counted.text.split()]
    assert (counted.end, numbers) == ("ok", sorted(set(numbers)))
    for kept, name in enumerate(("first", "second"), 2):
        cell = await own.cell(name)
        assert (cell.end, cell.text) == ("ok", f"({name!r}, {kept})")
    events = (await own.poll()).events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    gaps = [event for event in events if event.type == "gap"]
    assert [gap.cell for gap in gaps] == ["counting"]
    assert gaps[0].content["reason"]
    assert [_runs(events, name) for name in ("counting", "first", "second", "third")] == [1, 1, 1, 1]
    assert own.service.kernel_of(own.session) == kernel


async def test_the_host_dies_idle_and_its_sessions_stay(own: Client) -> None:
    """Whoever comes back later finds the session, its variables and its cells."""
    cell = await own.evaluate("kept = 'before'", cell="before")
    await asyncio.to_thread(_kill, own.service, "_host")
    await _persistent(own, "list_sessions")
    assert await own.cell("before") == cell
    assert (await own.evaluate("kept")).text == "'before'"
    # what a thread of the kernel printed meanwhile may be missing
    assert [event.cell for event in (await own.poll()).events if event.type == "gap"] == [None]


async def test_the_kernel_is_killed_from_outside(client: Client) -> None:
    await client.evaluate(SLEEP, wait=0, cell="running")
    await client.until("execute_input")
    await client.evaluate("1", wait=0, cell="next")
    _, kernel = client.service.kernel_of(client.session)
    os.kill(kernel.pid, signal.SIGKILL)
    await client.done("next")
    ends = [await client.cell(name) for name in ("running", "next")]
    assert [cell.end for cell in ends] == ["kernel_died", "aborted"]
    assert _exit(ends[0]) == (None, 9)
    assert (await client.evaluate("1 + 1")).text == "2"


async def test_the_shim_is_killed(client: Client) -> None:
    """As the kernel; but nobody knows how that ended."""
    await client.evaluate(SLEEP, wait=0, cell="running")
    await client.until("execute_input")
    shim, kernel = client.service.kernel_of(client.session)
    os.kill(shim.pid, signal.SIGKILL)
    await client.done("running")
    cell = await client.cell("running")
    assert (cell.end, _exit(cell)) == ("kernel_died", (None, None))
    assert kernel.wait(END_S)
    assert (await client.evaluate("1 + 1")).text == "2"


async def _rest(client: Client, cursor: int) -> list[Event]:
    events: list[Event] = []
    while not any(event.content.get("state") == "done" for event in events):
        page = await client.poll(cursor, wait=60)
        events += page.events
        cursor = page.cursor
    return events


def _runs(events: list[Event], cell: str) -> int:
    return len([event for event in events if event.type == "execute_input" and event.cell == cell])


def _exit(cell: Cell) -> tuple[object, object]:
    assert cell.exit is not None
    return cell.exit["code"], cell.exit["signal"]
