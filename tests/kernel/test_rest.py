"""What a session costs that nobody uses: no descriptor, and after a while no memory."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from kernel_bridge import hop
from kernel_bridge.clock import utcnow
from kernel_bridge.errors import SessionNotFound
from kernel_bridge.event_contents import Notice
from kernel_bridge.resting_log import SWEEP_S
from kernel_bridge.session import LEAVE_S, Session
from tests.kernel.house import ALICE, House, decoded, house

LATER = timedelta(seconds=LEAVE_S)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def session_of(home: House, session: str) -> Session:
    return home.sessions.get(ALICE, session)


def is_at_rest(home: House, session: str) -> bool:
    return session_of(home, session)._open_desk is None  # pyright: ignore[reportPrivateUsage]


async def written(home: House) -> str:
    """A session with an event, and no kernel."""
    session = await home.open()
    session_of(home, session).notify(Notice("test", "written"))
    return session


async def test_many_sessions_hold_no_file_open(tmp_path: Path) -> None:
    async with house(tmp_path, sessions_per_user=1000) as home:
        before = descriptors()
        sessions = [await written(home) for _ in range(100)]
        assert descriptors() == before + 100
        for _ in range(3):
            home.sessions.tend()
        assert descriptors() == before
        for session in sessions:
            session_of(home, session).notify(Notice("test", "again"))
            assert [event.seq for event in await home.events(session)] == [1, 2]


async def test_a_closed_session_leaves_memory_and_can_be_read(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "6 * 7")
    await home.ask(hop.CloseSession(caller=ALICE, session=session))
    events = await home.events(session)
    before = descriptors()
    for _ in range(2):
        assert not is_at_rest(home, session)
        home.sessions.tend()
    assert is_at_rest(home, session)
    assert descriptors() <= before
    assert await home.events(session) == events
    assert await home.ask(hop.GetCell(caller=ALICE, session=session, cell=cell.cell)) == cell
    home.sessions.tend()
    home.sessions.tend()
    assert is_at_rest(home, session)
    await home.open(session=session)
    assert (await home.evaluate(session, "6 * 7")).execution_count == 1


async def test_an_open_session_is_left_after_a_while_without_a_kernel(home: House) -> None:
    session = await written(home)
    now = utcnow()
    home.sessions.tend(now)
    home.sessions.tend(now + LATER - timedelta(seconds=1))
    assert not is_at_rest(home, session)
    home.sessions.tend(now + LATER)
    assert is_at_rest(home, session)
    session_of(home, session).notify(Notice("test", "again"))
    home.sessions.tend(now + LATER)
    assert not is_at_rest(home, session), "it was used"
    assert [event.seq for event in await home.events(session)] == [1, 2]


async def test_whoever_waits_for_events_keeps_it(home: House) -> None:
    session = await written(home)
    waiting = asyncio.create_task(home.poll(session, cursor=1, wait=20.0))
    await asyncio.sleep(0)
    now = utcnow()
    for number in range(3):
        home.sessions.tend(now + number * LATER)
    session_of(home, session).notify(Notice("test", "again"))
    assert [event.content["message"] for event in decoded(await waiting)] == ["again"]


async def test_a_session_with_a_kernel_is_not_left(tmp_path: Path) -> None:
    async with house(tmp_path, kernel_idle_s=1e6, session_idle_s=1e6) as home:
        session = await home.open(start=True)
        now = utcnow()
        for number in range(3):
            home.sessions.tend(now + number * LATER)
        assert not is_at_rest(home, session)
        assert (await home.evaluate(session, "1")).text == "1"


async def test_a_deleted_session_wakes_whoever_waits(home: House) -> None:
    session = await written(home)
    waiting = asyncio.create_task(home.poll(session, cursor=1, wait=20.0))
    await asyncio.sleep(0)
    await home.ask(hop.CloseSession(caller=ALICE, session=session, delete=True))
    with pytest.raises(SessionNotFound):
        await waiting


async def test_a_log_that_nobody_uses_forgets_what_is_too_old(tmp_path: Path) -> None:
    async with house(tmp_path, segment_bytes=200, retention_s=0.001) as home:
        sessions = [await written(home), await home.open()]
        log = home.root / "sessions" / sessions[0]
        home.sessions.tend()
        session_of(home, sessions[0]).release()
    segments = sorted(log.glob("events-*"))
    assert len(segments) == 1
    later = log / "events-000000000002.jsonl"
    later.write_bytes(segments[0].read_bytes().replace(b'"first":1', b'"first":2').replace(b'"seq":1', b'"seq":2'))
    async with house(tmp_path, segment_bytes=200, retention_s=0.001) as home:
        now = utcnow()
        home.sessions.tend(now)
        assert segments[0].exists()
        home.sessions.tend(now + timedelta(seconds=SWEEP_S))
        assert not segments[0].exists()
        assert is_at_rest(home, sessions[0])
        events = await home.events(sessions[0])
        assert [(event.seq, event.type) for event in events] == [(1, "truncated"), (2, "notice")]
