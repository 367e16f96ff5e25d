"""Sessions of one host: whose they are, how they are opened, closed, limited and found again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge import hop
from kernel_bridge.errors import (
    InvalidArgument,
    KernelspecNotFound,
    KernelStartFailed,
    LimitExceeded,
    SessionNotFound,
)
from kernel_bridge.line_file import LineFile, StoreFailed
from tests.kernel.house import ALICE, BOB, House, decoded, house

BROKEN = '{"argv": ["/nonexistent/kernel", "{connection_file}"], "display_name": "broken", "language": "none"}'
FAILING = """{"argv": ["/bin/sh", "-c", "echo no libfoo.so >&2; exit 3", "{connection_file}"],
"display_name": "failing", "language": "none"}"""


@pytest.fixture
def kernelspecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where kernelspecs can be installed for one test."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return tmp_path / "jupyter" / "kernels"


def install(kernelspecs: Path, name: str, text: str) -> None:
    (kernelspecs / name).mkdir(parents=True)
    (kernelspecs / name / "kernel.json").write_text(text)


async def test_a_session_never_used_has_a_record_and_nothing_else(home: House) -> None:
    session = await home.open()
    assert [path.name for path in (home.root / "sessions" / session).iterdir()] == ["session.json"]
    assert not (home.root / "workdirs").exists()
    assert session.startswith("hosthost.")


async def test_sessions_are_their_owners(home: House) -> None:
    session = await home.open()
    requests: tuple[Any, ...] = (
        hop.Evaluate(caller=BOB, session=session, code="1"),
        hop.Complete(caller=BOB, session=session, code="a"),
        hop.Inspect(caller=BOB, session=session, code="a"),
        hop.PollOutput(caller=BOB, session=session),
        hop.Interrupt(caller=BOB, session=session),
        hop.InputReply(caller=BOB, session=session, id="x", value="y"),
        hop.GetCell(caller=BOB, session=session, cell="x"),
        hop.CloseSession(caller=BOB, session=session),
        hop.OpenSession(caller=BOB, session=session),
    )
    for request in requests:
        with pytest.raises(SessionNotFound, match="no such session"):
            await home.ask(request)
    assert (await home.ask(hop.ListSessions(caller=BOB))).sessions == []


async def test_two_sessions_do_not_wait_for_each_other(home: House) -> None:
    slow, fast = await home.open(), await home.open()
    running = await home.evaluate(slow, "import time; time.sleep(30)", wait=0.0)
    assert (await home.evaluate(fast, "1 + 1")).text == "2"
    state = await home.ask(hop.GetCell(caller=ALICE, session=slow, cell=running.cell))
    assert state.end is None


async def test_two_sessions_have_their_own_kernel_and_directory(home: House) -> None:
    one, two = await home.open(), await home.open()
    await asyncio.gather(home.evaluate(one, "mine = 1"), home.evaluate(two, "mine = 2"))
    assert (await home.evaluate(one, "mine")).text == "1"
    where = [(await home.evaluate(session, "import os; print(os.getcwd())")).text for session in (one, two)]
    assert where[0] != where[1]


async def test_attaching_and_the_kernel_it_must_have(home: House) -> None:
    session = await home.open()
    assert await home.open(session=session) == session
    assert await home.open(session=session, kernel="python3") == session
    with pytest.raises(InvalidArgument, match="`kernel`"):
        await home.open(session=session, kernel="other")
    with pytest.raises(KernelspecNotFound) as error:
        await home.open(kernel="no-such-kernel")
    assert "python3" in error.value.available
    with pytest.raises(SessionNotFound):
        await home.open(session="hosthost.unknown")


async def test_closing_opening_again_and_deleting(home: House) -> None:
    session = await home.open()
    running = asyncio.create_task(home.evaluate(session, "import time; time.sleep(60)"))
    queued = asyncio.create_task(home.evaluate(session, "1"))
    await home.until(session, "execute_input")
    closed = await home.ask(hop.CloseSession(caller=ALICE, session=session))
    assert (closed.closed, closed.deleted) == (True, False)
    ends = [(await running).end, (await queued).end]
    assert ends == ["closed", "closed"]
    with pytest.raises(SessionNotFound) as error:
        await home.evaluate(session, "1")
    assert error.value.closed
    page = await home.poll(session, wait=0.0)
    assert (page.kernel_state, bool(page.events)) == ("none", True)
    await home.open(session=session)
    assert (await home.evaluate(session, "'again'")).text == "'again'"
    await home.ask(hop.CloseSession(caller=ALICE, session=session, delete=True))
    assert not (home.root / "sessions" / session).exists()
    assert not list((home.root / "workdirs").iterdir())
    with pytest.raises(SessionNotFound):
        await home.poll(session)


async def test_sessions_and_cells_are_found_by_the_next_host(tmp_path: Path) -> None:
    async with house(tmp_path) as first:
        session = await first.open()
        cell = await first.evaluate(session, "print('kept')", cell="mine")
        running = await first.evaluate(session, "import time; time.sleep(60)", wait=0.0)
        events = await first.events(session, cell="mine")
    async with house(tmp_path) as second:
        assert await second.evaluate(session, "print('kept')", cell="mine") == cell
        assert await second.events(session, cell="mine") == events
        ended = await second.ask(hop.GetCell(caller=ALICE, session=session, cell=running.cell))
        assert ended.end == "closed"
        newest = (await second.events(session))[-1].seq
        assert (await second.evaluate(session, "2")).text == "2"
        assert (await second.events(session))[-1].seq > newest


async def test_listing_in_pages(home: House) -> None:
    opened = [await home.open() for _ in range(5)]
    first = await home.ask(hop.ListSessions(caller=ALICE, limit=3))
    assert [info.session for info in first.sessions] == opened[:3]
    rest = await home.ask(hop.ListSessions(caller=ALICE, limit=3, after=first.after))
    assert [info.session for info in rest.sessions] == opened[3:]
    assert rest.after is None
    with pytest.raises(InvalidArgument, match="`after`"):
        await home.ask(hop.ListSessions(caller=ALICE, after="unknown"))


async def test_the_limit_of_sessions_closes_the_oldest_unused_then_the_oldest_idle(tmp_path: Path) -> None:
    async with house(tmp_path, sessions_per_user=2) as small:
        busy = await small.open(start=True)
        unused = await small.open()
        third = await small.ask(hop.OpenSession(caller=ALICE))
        assert third.closed_session == unused
        await small.open(session=third.session, start=True)
        with pytest.raises(LimitExceeded, match="sessions_per_user"):
            await small.open()
        assert (await small.ask(hop.OpenSession(caller=BOB))).closed_session is None
        assert {
            info.session for info in (await small.ask(hop.ListSessions(caller=ALICE))).sessions if not info.closed
        } == {
            busy,
            third.session,
        }


async def test_a_session_that_is_opened_again_counts_as_one_more(tmp_path: Path) -> None:
    async with house(tmp_path, sessions_per_user=2) as small:
        closed = await small.open()
        await small.evaluate(closed, "1")
        await small.ask(hop.CloseSession(caller=ALICE, session=closed))
        await small.ask(
            hop.ShareSession(caller=ALICE, session=closed, user_id=BOB.user_id, user=BOB.user, access="write")
        )
        busy, idle = await small.open(start=True), await small.open()
        with pytest.raises(LimitExceeded, match="sessions_per_user"):  # another one closes nothing of hers
            await small.ask(hop.OpenSession(caller=BOB, session=closed))
        assert (await small.ask(hop.OpenSession(caller=ALICE, session=closed))).closed_session == idle
        await small.open(session=closed, start=True)
        with pytest.raises(LimitExceeded, match="sessions_per_user"):
            await small.ask(hop.OpenSession(caller=ALICE, session=idle))
        assert (await small.ask(hop.OpenSession(caller=ALICE, session=busy))).closed_session is None


async def test_sessions_that_are_opened_at_the_same_time_stay_within_the_limit(tmp_path: Path) -> None:
    async with house(tmp_path, sessions_per_user=3) as small:
        for _ in range(3):
            await small.open()
        opened = await asyncio.gather(*(small.ask(hop.OpenSession(caller=ALICE)) for _ in range(6)))
        assert len({one.closed_session for one in opened}) == 6
        infos = (await small.ask(hop.ListSessions(caller=ALICE))).sessions
        assert sum(not info.closed for info in infos) == 3


async def test_a_kernel_that_cannot_be_started(home: House, kernelspecs: Path) -> None:
    install(kernelspecs, "broken", BROKEN)
    session = await home.open(kernel="broken")
    first, second = await asyncio.gather(
        home.evaluate(session, "1", cell="first"), home.evaluate(session, "2", cell="second")
    )
    assert (first.end, second.end) == ("start_failed", "aborted")
    assert first.outputs[-1]["ename"] == "KernelStartFailed"
    assert "No such file" in first.text
    with pytest.raises(KernelStartFailed):
        await home.ask(hop.Complete(caller=ALICE, session=session, code="a"))
    assert (await home.evaluate(session, "1", cell="first")) == first


async def test_a_kernel_that_ends_before_it_is_ready_shows_its_words(home: House, kernelspecs: Path) -> None:
    install(kernelspecs, "failing", FAILING)
    session = await home.open(kernel="failing")
    cell = await home.evaluate(session, "1")
    assert cell.end == "start_failed"
    assert "no libfoo.so" in cell.text
    assert cell.exit is not None
    assert cell.exit.code == 3
    with pytest.raises(KernelStartFailed) as error:
        await home.open(session=session, start=True)
    assert "no libfoo.so" in error.value.stderr


async def test_a_kernel_that_says_nothing_is_ended_in_time(tmp_path: Path, kernelspecs: Path) -> None:
    mute = '{"argv": ["/bin/sleep", "600"], "display_name": "mute", "language": "none"}'
    install(kernelspecs, "mute", mute)
    async with house(tmp_path / "house", kernel_start_s=1.0) as made:
        session = await made.open(kernel="mute")
        cell = await made.evaluate(session, "1")
        assert cell.end == "start_failed"
        assert cell.text == "no answer within 1 s"


async def test_what_a_full_disk_refused_is_written_when_there_is_room(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await home.open()
    before = await home.evaluate(session, "before = 1")
    full = False

    def write(self: LineFile, line: bytes) -> int:
        if full:
            raise StoreFailed("disk_full")
        return whole_line(self, line)

    whole_line = LineFile.append
    monkeypatch.setattr(LineFile, "append", write)

    running = asyncio.create_task(home.evaluate(session, "import time; time.sleep(0.3); print('unheard')", cell="c"))
    await home.until(session, "execute_input", cursor=before.cursor)
    full = True
    ended = await running
    assert (ended.end, ended.text) == ("ok", "unheard\n")
    with pytest.raises(LimitExceeded, match="not run") as error:
        await home.evaluate(session, "refused = 1")
    assert (error.value.limit, error.value.value) == ("disk", None)
    assert await home.ask(hop.GetCell(caller=ALICE, session=session, cell="c")) == ended
    newest = (await home.poll(session, wait=0.0, limit=10_000)).cursor
    waiting = asyncio.create_task(home.poll(session, cursor=newest, wait=20.0))
    await asyncio.sleep(0)
    full = False
    home.sessions.tend()
    types = [event.type for event in decoded(await waiting)]
    assert types[0] == "dropped"
    assert types[-1] == "cell"
    assert (await home.evaluate(session, "'refused' in globals()")).text == "False"
    lines = (home.root / "sessions" / session / "cells.jsonl").read_bytes().splitlines()
    assert any(b'"cell":"c"' in line for line in lines)
