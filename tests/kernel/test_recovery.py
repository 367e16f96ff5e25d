"""After a crash of the host: what ran is lost and said so, what waited is run, nothing runs twice."""

from pathlib import Path

import msgspec

from kernel_bridge import hop, results
from kernel_bridge.events import from_service
from kernel_bridge.journal import Journal
from kernel_bridge.record import SessionRecord, store
from kernel_bridge.settings import BridgeSettings
from tests.kernel.house import ALICE, House, house

SESSION = "hosthost.crashed"


def crash(root: Path, *cells: tuple[str, list[str]]) -> None:
    """What a host that was killed leaves behind: a record, and for each cell the events of its states so far."""
    directory = root / "sessions" / SESSION
    record = SessionRecord(SESSION, ALICE.user_id, "python3", "workdir", "2026-01-01T00:00:00.000Z")
    store(directory, record)
    journal = Journal(directory, BridgeSettings())
    for cell, states in cells:
        params = {"code": f"print('{cell}')", "cell": cell, "stop_on_error": True}
        queued = {"state": "queued", "user": ALICE.user, "user_id": ALICE.user_id, "params": params}
        journal.events.append(from_service("cell", queued, cell))
        for state in states:
            if state == "stream":
                journal.events.append(from_service("stream", {"name": "stdout", "text": "so far\n"}, cell))
            else:
                journal.events.append(from_service("cell", {"state": state, "end": "ok"}, cell))
    journal.close()


async def ended(home: House, cell: str) -> results.Cell:
    page_cursor = 0
    done: bool | None = False
    while not done:
        page = await home.poll(SESSION, cell=cell, cursor=page_cursor, wait=20.0)
        page_cursor, done = page.cursor, page.done
    return await home.ask(hop.GetCell(caller=ALICE, session=SESSION, cell=cell))


async def test_running_is_lost_and_queued_is_run(tmp_path: Path) -> None:
    crash(tmp_path, ("over", ["running", "done"]), ("ran", ["running", "stream"]), ("waits", []), ("last", []))
    async with house(tmp_path) as home:
        home.sessions.expect_recovery()
        await home.sessions.recover()
        lost = await ended(home, "ran")
        assert (lost.end, lost.text) == ("lost", "so far\n")
        assert [(await ended(home, cell)).text for cell in ("waits", "last")] == ["waits\n", "last\n"]
        gaps = [event for event in await home.events(SESSION) if event.type == "gap"]
        assert [event.cell for event in gaps] == ["ran"]
        assert "host was down" in gaps[0].content["reason"]
        over = await ended(home, "over")
        assert (over.end, over.queued_at <= (over.finished_at or ""), over.code) == ("ok", True, "print('over')")
        prints = [event.cell for event in await home.events(SESSION) if event.type == "execute_input"]
        assert prints == ["waits", "last"]


async def test_recovering_twice_changes_nothing(tmp_path: Path) -> None:
    crash(tmp_path, ("ran", ["running"]))
    async with house(tmp_path) as home:
        home.sessions.expect_recovery()
        await home.sessions.recover()
        first = await ended(home, "ran")
    async with house(tmp_path) as again:
        newest = (await again.events(SESSION))[-1].seq
        again.sessions.expect_recovery()
        await again.sessions.recover()
        assert await ended(again, "ran") == first
        assert (await again.events(SESSION))[-1].seq == newest


async def test_a_session_that_cannot_be_recovered_leaves_the_others(tmp_path: Path) -> None:
    crash(tmp_path, ("waits", []))
    broken = tmp_path / "sessions" / "hosthost.broken"
    broken.mkdir()
    (broken / "session.json").write_bytes(b"{")
    async with house(tmp_path) as home:
        home.sessions.expect_recovery()
        await home.sessions.recover()
        assert (await ended(home, "waits")).text == "waits\n"
        assert home.sessions.count == 1
        assert msgspec.json.decode((tmp_path / "sessions" / SESSION / "session.json").read_bytes())["v"] == 1
