"""Culling of real kernels and sessions. The tests say what time it is; nothing waits for a limit to pass."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kernel_bridge import hop, results
from kernel_bridge.clock import utcnow
from kernel_bridge.errors import SessionNotFound
from tests.kernel.house import ALICE, Event, House, house

HOUR = timedelta(hours=1)


async def notices(home: House, session: str) -> list[Event]:
    return [event for event in await home.events(session) if event.type == "notice"]


async def kinds(home: House, session: str) -> list[str]:
    return [event.content["kind"] for event in await notices(home, session)]


async def info(home: House, session: str) -> results.SessionInfo:
    found = (await home.ask(hop.ListSessions(caller=ALICE))).sessions
    return next(one for one in found if one.session == session)


def tend(home: House, later: timedelta) -> datetime:
    now = utcnow() + later
    home.sessions.tend(now)
    return now


async def test_an_idle_kernel_is_announced_stopped_and_replaced(home: House) -> None:
    session = await home.open()
    before = await home.evaluate(session, "x = 1")
    tend(home, HOUR - timedelta(seconds=70))
    assert await kinds(home, session) == []

    announced_at = tend(home, HOUR - timedelta(seconds=30))
    [ahead] = await notices(home, session)
    assert ahead.content["kind"] == "kernel_stop_ahead"
    assert ahead.cell is None
    ahead_s = (datetime.fromisoformat(ahead.content["at"]) - announced_at).total_seconds()
    assert 59.99 < ahead_s <= 60
    assert (await info(home, session)).kernel_state == "idle"

    tend(home, HOUR + timedelta(seconds=40))
    stopped = await home.until(session, "notice", cursor=before.cursor, kind="kernel_stopped")
    state = await info(home, session)
    assert (state.kernel_state, state.closed) == ("none", False)
    assert not list((home.root / "kernels").iterdir())

    again = await home.evaluate(session, "'x' in globals()", cell="again")
    assert again.text == "False"
    anew = await home.until(session, "notice", cursor=stopped.seq, kind="kernel_started_anew")
    assert "variables are gone" in anew.content["message"]
    assert "1 h" in anew.content["message"]
    tend(home, timedelta(0))
    assert await kinds(home, session) == ["kernel_stop_ahead", "kernel_stopped", "kernel_started_anew"]


async def test_use_after_the_announcement_saves_the_kernel_and_polling_does_not(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "x = 1")
    tend(home, HOUR)
    assert await kinds(home, session) == ["kernel_stop_ahead"]
    used = (await info(home, session)).last_activity_at
    await home.poll(session, wait=0.0)
    assert (await info(home, session)).last_activity_at == used
    await home.ask(hop.Complete(caller=ALICE, session=session, code="x"))
    assert (await info(home, session)).last_activity_at > used
    tend(home, HOUR - timedelta(seconds=70))
    assert (await home.evaluate(session, "x")).text == "1"
    assert await kinds(home, session) == ["kernel_stop_ahead"]


async def test_an_evaluate_that_comes_while_the_kernel_stops_waits_for_the_next_one(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "x = 1")
    tend(home, HOUR)
    tend(home, HOUR + timedelta(seconds=120))
    await asyncio.sleep(0)  # the stop has begun
    cell = await home.evaluate(session, "'x' in globals()")
    assert (cell.end, cell.text) == ("ok", "False")
    assert await kinds(home, session) == ["kernel_stop_ahead", "kernel_stopped", "kernel_started_anew"]


async def test_an_evaluate_between_decision_and_stop_keeps_the_kernel(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "x = 1")
    tend(home, HOUR)
    tend(home, HOUR + timedelta(seconds=120))
    cell = await home.evaluate(session, "x")  # runs up to its first wait before the culler's task has begun
    assert (cell.end, cell.text) == ("ok", "1")
    assert await kinds(home, session) == ["kernel_stop_ahead"]


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "input('?')"])
async def test_a_running_or_waiting_cell_is_never_idle(home: House, code: str) -> None:
    session = await home.open()
    running = await home.evaluate(session, code, wait=0.0, allow_stdin=True)
    await home.until(session, "input_request" if "input" in code else "execute_input")
    for later in (HOUR, 2 * HOUR, timedelta(days=8), timedelta(days=9)):
        tend(home, later)
    assert await kinds(home, session) == []
    assert (await home.ask(hop.GetCell(caller=ALICE, session=session, cell=running.cell))).end is None
    await home.ask(hop.Interrupt(caller=ALICE, session=session))
    # it counts as activity up to its end
    tend(home, timedelta(days=9, minutes=30))
    assert await kinds(home, session) == []


async def test_a_lifetime_ends_what_runs_and_what_waits(tmp_path: Path) -> None:
    async with house(tmp_path, max_lifetime_s=3600.0) as home:
        session = await home.open()
        running = asyncio.create_task(home.evaluate(session, "import time; print('so far'); time.sleep(60)"))
        queued = asyncio.create_task(home.evaluate(session, "1"))
        await home.until(session, "stream")
        tend(home, HOUR - timedelta(seconds=30))
        assert await kinds(home, session) == ["kernel_end_ahead"]
        assert not running.done()
        tend(home, HOUR + timedelta(seconds=30))
        await asyncio.sleep(0)
        late = asyncio.create_task(home.evaluate(session, "'late'"))
        ended = await running
        assert (ended.end, ended.text) == ("closed", "so far\n")
        assert (await queued).end == "closed"
        assert ((await late).end, (await late).text) == ("ok", "'late'")
        assert not (await info(home, session)).closed
        assert await kinds(home, session) == ["kernel_end_ahead", "kernel_ended", "kernel_started_anew"]


async def test_an_idle_session_is_closed_and_opened_again(tmp_path: Path) -> None:
    async with house(tmp_path, session_idle_s=600.0) as home:
        session = await home.open()
        cell = await home.evaluate(session, "'kept'")
        tend(home, timedelta(seconds=590))
        assert await kinds(home, session) == ["session_close_ahead"]
        tend(home, timedelta(seconds=660))
        await home.until(session, "notice", cursor=cell.cursor, kind="session_closed")
        with pytest.raises(SessionNotFound) as error:
            await home.evaluate(session, "1")
        assert error.value.closed
        assert (await info(home, session)).kernel_state == "none"
        tend(home, timedelta(days=30))
        assert await home.ask(hop.GetCell(caller=ALICE, session=session, cell=cell.cell)) == cell
        await home.open(session=session)
        tend(home, timedelta(seconds=500))
        assert (await home.evaluate(session, "'again'")).text == "'again'"
        assert await kinds(home, session) == ["session_close_ahead", "session_closed"]


async def test_a_session_never_used_is_deleted(home: House) -> None:
    unused, used, started = await home.open(), await home.open(), await home.open(start=True)
    cell = await home.evaluate(used, "1")
    assert cell.end == "ok"
    await home.poll(unused, wait=0.0)
    tend(home, HOUR - timedelta(seconds=90))
    assert home.sessions.count == 3
    tend(home, HOUR)
    await asyncio.wait([task for task in asyncio.all_tasks() if task.get_name() == "cull-unused_session"])
    assert home.sessions.count == 2
    assert not (home.root / "sessions" / unused).exists()
    with pytest.raises(SessionNotFound) as error:
        await home.poll(unused)
    assert not error.value.closed
    assert await kinds(home, started) == ["kernel_stop_ahead"]


async def test_the_next_host_knows_the_last_activity(tmp_path: Path) -> None:
    async with house(tmp_path) as first:
        session = await first.open()
        await first.evaluate(session, "1")
        was = (await info(first, session)).last_activity_at
        unused = await first.open()
    async with house(tmp_path) as second:
        assert (await info(second, session)).last_activity_at == was
        tend(second, timedelta(days=7, seconds=-30))
        assert await kinds(second, session) == ["session_close_ahead"]
        await asyncio.wait([task for task in asyncio.all_tasks() if task.get_name() == "cull-unused_session"])
        assert not (tmp_path / "sessions" / unused).exists()
        tend(second, timedelta(days=7, seconds=30))
        await second.until(session, "notice", kind="session_closed")
        assert (await info(second, session)).closed
        assert (await info(second, session)).last_activity_at == was
