"""restart in every state of a kernel, and what it leaves alone."""

import asyncio
from pathlib import Path

import pytest

from kernel_bridge import hop
from kernel_bridge.errors import KernelStartFailed, SessionNotFound
from tests.kernel.house import ALICE, House, house

SLOW_START = """{"argv": ["/bin/sh", "-c", "sleep 30; exec false"], "display_name": "slow", "language": "none"}"""


@pytest.fixture
def kernelspecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of kernelspecs for one test."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return tmp_path / "jupyter" / "kernels"


def restart(session: str) -> hop.Restart:
    return hop.Restart(caller=ALICE, session=session)


async def notices(home: House, session: str) -> list[str]:
    return [event.content["kind"] for event in await home.events(session) if event.type == "notice"]


async def test_an_idle_kernel_is_replaced_in_the_same_directory_and_log(home: House) -> None:
    session = await home.open()
    before = await home.evaluate(session, "import os; kept = 1; open('file', 'w').write('x')")
    pid = home.record(session).pid
    done = await home.ask(restart(session))
    assert (done.session, done.cell, done.aborted) == (session, None, 0)
    assert done.exit is not None
    info = await home.ask(hop.SessionInfo(caller=ALICE, session=session))
    assert info.kernel_state == "idle"
    after = await home.evaluate(session, "import os; ('kept' in globals(), os.path.exists('file'))")
    assert after.text == "(False, True)"
    assert home.record(session).pid != pid
    assert after.execution_count == 1
    assert await notices(home, session) == ["kernel_restarted"]
    assert (await home.events(session, cell=before.cell))[0].seq == before.queued_seq


async def test_a_busy_kernel_ends_its_cells_and_takes_new_ones(home: House) -> None:
    session = await home.open()
    running = asyncio.create_task(home.evaluate(session, "import time; time.sleep(60)", cell="running"))
    await home.until(session, "execute_input")
    waiting = [asyncio.create_task(home.evaluate(session, "1", cell=f"w{n}")) for n in range(2)]
    await asyncio.sleep(0)
    restarting = asyncio.create_task(home.ask(restart(session)))
    await asyncio.sleep(0)
    later = asyncio.create_task(home.evaluate(session, "'later'", cell="later"))
    await asyncio.sleep(0)
    assert (await home.ask(hop.SessionInfo(caller=ALICE, session=session))).kernel_state == "starting"
    done = await restarting
    assert (done.cell, done.aborted) == ("running", 2)
    ended = await running
    assert ended.end == "restarted"
    assert ended.exit is not None
    assert [(await task).end for task in waiting] == ["aborted", "aborted"]
    assert ((await later).end, (await later).text) == ("ok", "'later'")


async def test_a_cell_that_waits_for_input(home: House) -> None:
    session = await home.open()
    asking = asyncio.create_task(home.evaluate(session, "input('? ')", allow_stdin=True, cell="asks"))
    await home.until(session, "input_request")
    assert (await home.ask(restart(session))).cell == "asks"
    assert (await asking).end == "restarted"
    assert (await home.evaluate(session, "1 + 1")).text == "2"


async def test_a_dead_kernel_and_one_that_never_was(home: House) -> None:
    session = await home.open()
    assert (await home.ask(restart(session))).exit is None
    await home.evaluate(session, "import os; os._exit(3)")
    assert (await home.ask(hop.SessionInfo(caller=ALICE, session=session))).kernel_state == "dead"
    await home.ask(restart(session))
    assert (await home.ask(hop.SessionInfo(caller=ALICE, session=session))).kernel_state == "idle"
    assert await notices(home, session) == ["kernel_restarted", "kernel_restarted"]


async def test_one_that_starts_is_started_again_and_whoever_waits_gets_the_new_one(home: House) -> None:
    session = await home.open()
    completing = asyncio.create_task(home.ask(hop.Complete(caller=ALICE, session=session, code="pri")))
    first = asyncio.create_task(home.evaluate(session, "1", cell="first"))
    await asyncio.sleep(0)
    assert (await home.ask(hop.SessionInfo(caller=ALICE, session=session))).kernel_state == "starting"
    restarting = asyncio.create_task(home.ask(restart(session)))
    await asyncio.sleep(0)
    meanwhile = asyncio.create_task(home.ask(hop.Complete(caller=ALICE, session=session, code="pri")))
    done = await restarting
    assert (done.cell, done.aborted) == (None, 1)
    assert (await first).end == "aborted"
    for waited in (completing, meanwhile):
        assert "print" in [match.text for match in (await waited).matches]


async def test_two_at_once_leave_one_kernel(home: House) -> None:
    session = await home.open(start=True)
    await asyncio.gather(home.ask(restart(session)), home.ask(restart(session)))
    assert (await home.evaluate(session, "'one'")).text == "'one'"
    assert len(list((home.root / "kernels").iterdir())) == 1


async def test_a_session_that_is_closed_meanwhile_stays_without_a_kernel(home: House, kernelspecs: Path) -> None:
    (kernelspecs / "slow").mkdir(parents=True)
    (kernelspecs / "slow" / "kernel.json").write_text(SLOW_START)
    session = await home.open(kernel="slow")
    restarting = asyncio.create_task(home.ask(restart(session)))
    await asyncio.sleep(0)
    await home.ask(hop.CloseSession(caller=ALICE, session=session))
    with pytest.raises(KernelStartFailed):
        await restarting
    assert (await home.ask(hop.SessionInfo(caller=ALICE, session=session))).kernel_state == "none"
    with pytest.raises(SessionNotFound):
        await home.ask(restart(session))


async def test_a_kernel_that_does_not_start_again_says_why(tmp_path: Path, kernelspecs: Path) -> None:
    (kernelspecs / "mute").mkdir(parents=True)
    (kernelspecs / "mute" / "kernel.json").write_text(SLOW_START)
    async with house(tmp_path / "house", kernel_start_s=0.5) as made:
        session = await made.open(kernel="mute")
        with pytest.raises(KernelStartFailed) as error:
            await made.ask(restart(session))
        assert error.value.stderr == "no answer within 0.5 s"
