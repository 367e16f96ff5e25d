"""A disk that is really full: cells go on, what is missing is counted, nothing is torn, and then all works again."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest

from kernel_bridge import hop
from kernel_bridge.errors import LimitExceeded
from kernel_bridge.event_contents import Notice
from kernel_bridge.events import NewEvent
from kernel_bridge.log import EventLog, LogLimits
from tests.kernel.house import ALICE, Event, House, house
from tests.kernel.small_disk import SmallDisk, small_disk

LINES = 6000
PRINT = f"""
import sys
for n in range({LINES}):
    print(f"{{n:06d}}", "x" * 200, flush=True)
"""
CELL_S = 60.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


class Losses:
    """What the logs were given and could not store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[NewEvent] = []
        append = EventLog.append

        def watched(log: EventLog, event: NewEvent, *, keep: bool = False) -> int | None:
            seq = append(log, event, keep=keep)
            if seq is None and not keep:
                self.events.append(event)
            return seq

        monkeypatch.setattr(EventLog, "append", watched)


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Losses:
    return Losses(monkeypatch)


def small_house(disk: SmallDisk) -> AbstractAsyncContextManager[House]:
    return house(disk.path / "state", segment_bytes=256 << 10, cell_output_bytes=64 << 10)


def printed(events: list[Event]) -> list[int]:
    text = "".join(event.content["text"] for event in events if event.type == "stream")
    return [int(line.split()[0]) for line in text.splitlines()]


async def refused(home: House, session: str) -> None:
    with pytest.raises(LimitExceeded, match="not run") as error:
        await home.evaluate(session, "refused = 1")
    assert error.value.limit == "disk"


async def fill_the_page(home: House, session: str) -> None:
    """On a disk without a free page the last one of a file still takes what fits: queue cells until none does."""
    for _ in range(100):
        try:
            await home.evaluate(session, "1", wait=0.0)
        except LimitExceeded:
            return
    raise AssertionError("the disk is not full")


async def test_a_cell_prints_until_the_disk_is_full(disk: SmallDisk, losses: Losses) -> None:
    async with small_house(disk) as home:
        session, other = await home.open(start=True), await home.open()
        home.sessions.get(ALICE, other).notify(Notice("test", "it has files"))
        with disk.ballast(400 << 10):
            cell = await home.evaluate(session, PRINT, cell="c", wait=CELL_S)
            assert (cell.end, cell.text.splitlines()[-1]) == ("ok", f"{LINES - 1:06d} {'x' * 200}")
            assert disk.is_full
            assert losses.events
            await refused(home, session)
            before = await home.events(session)
            await home.ask(hop.CloseSession(caller=ALICE, session=other, delete=True))
            assert not (home.root / "sessions" / other).exists()
        home.sessions.tend()
        events = await home.events(session)
        assert events[: len(before)] == before
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        told = [event.content for event in events if event.type == "dropped"]
        assert sum(each["count"] for each in told) == len(losses.events)
        assert sum(each["bytes"] for each in told) == sum(event.size for event in losses.events)
        assert {each["reason"] for each in told} <= {"disk_full", "short_write"}
        lost = printed([Event(0, "c", "", event.type, event.fields) for event in losses.events])
        assert sorted([*printed(events), *lost]) == list(range(LINES))
        assert printed(events) == sorted(printed(events))
        ends = [event.seq for event in events if event.type == "cell" and event.content["state"] == "done"]
        assert ends == [events[-1].seq]
        again = await home.evaluate(session, "n, 'refused' in globals()")
        assert again.text == f"({LINES - 1}, False)"
        await check_readers(home, session, events)


async def check_readers(home: House, session: str, events: list[Event]) -> None:
    """Whoever reads the cell to its end gets all of it, and so does a new owner of the files."""
    cursor, found = 0, 0
    while True:
        page = await home.poll(session, cell="c", cursor=cursor, wait=0.0, limit=1000)
        found += len(page.events)
        cursor = page.cursor
        if page.done:
            break
    assert found == sum(event.cell == "c" for event in events)
    log = EventLog.open(home.root / "sessions" / session, LogLimits())
    assert log.torn_bytes == 0
    lines = log.read(0, cell=None, limit=100_000, max_bytes=64 << 20).events
    assert [msgspec.json.decode(line, type=Event) for line in lines][: len(events)] == events
    log.close()


async def test_a_session_can_be_deleted_on_a_full_disk(disk: SmallDisk) -> None:
    async with small_house(disk) as home:
        session = await home.open(start=True)
        await home.evaluate(session, "input()", wait=0.0, allow_stdin=True)
        await home.until(session, "input_request")
        with disk.ballast(4 << 20):
            assert disk.is_full
            await fill_the_page(home, session)
            await refused(home, session)
            async with asyncio.timeout(CELL_S):
                await home.ask(hop.CloseSession(caller=ALICE, session=session, delete=True))
            assert not list((home.root / "sessions").iterdir())
            assert not list((home.root / "workdirs").iterdir())
        fresh = await home.open()
        assert (await home.evaluate(fresh, "6 * 7")).text == "42"


async def test_a_kernel_that_dies_on_a_full_disk(disk: SmallDisk) -> None:
    async with small_house(disk) as home:
        session = await home.open(start=True)
        dies = await home.evaluate(session, "input(); import os; os._exit(3)", wait=0.0, allow_stdin=True)
        asked = await home.until(session, "input_request")
        with disk.ballast(4 << 20):
            await fill_the_page(home, session)
            await home.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value=""))
            async with asyncio.timeout(CELL_S):
                while (ended := await home.ask(hop.GetCell(caller=ALICE, session=session, cell=dies.cell))).end is None:
                    await home.poll(session, cursor=(await home.poll(session, wait=0.0)).cursor, wait=0.1)
            assert ended.end == "kernel_died"
        home.sessions.tend()
        assert (await home.evaluate(session, "'anew'")).text == "'anew'"
        events = await home.events(session)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        ends = [
            (event.cell, event.content["end"]) for event in events if event.type == "cell" and "end" in event.content
        ]
        assert ends[0] == (dies.cell, "kernel_died")
        assert {end for _, end in ends[1:-1]} == {"aborted"}
        assert ends[-1][1] == "ok"
