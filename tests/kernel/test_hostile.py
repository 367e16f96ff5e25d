"""Code in a kernel, and moments badly chosen: whatever happens, every cell ends, every call is answered.

Most of this code can do what it does only without a sandbox, which these kernels therefore do not have.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge import hop, leftovers
from kernel_bridge.errors import BridgeError, KernelStartFailed, LimitExceeded, SessionNotFound
from kernel_bridge.kernel_record import KernelRecord, read_record
from kernel_bridge.line_file import LineFile, StoreFailed
from kernel_bridge.results import Page
from kernel_bridge.sandbox.settings import SandboxSettings
from tests.kernel.house import ALICE, House, house

ANSWER_S = 20.0

FORGE = """
import os, signal, time
shim = os.getppid()
home = os.path.dirname([a for a in open('/proc/self/cmdline').read().split('\\0') if a.endswith('connection.json')][0])
target = os.path.join(home, 'exit.json')
{act}
os.kill(shim, signal.SIGKILL)
time.sleep(5)  # the kernel dies of it, a moment later
"""
DEAF = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
DEEP = "open(target, 'w').write('{\"x\": ' + '[' * 100000 + ']' * 100000 + '}')"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    patience: dict[str, Any] = {"idle_grace_s": 2.0, "interrupt_again_s": 1.0, "interrupt_kill_s": 1.0}
    async with house(tmp_path, sandbox=SandboxSettings(profile="none"), **patience) as made:
        yield made


def kernel_record(home: House) -> KernelRecord:
    (directory,) = (home.root / "kernels").iterdir()
    record = read_record(directory)
    assert record is not None
    return record


@pytest.mark.parametrize("act", [DEEP, "os.mkfifo(target)", "os.mkdir(target)", "os.symlink('/dev/zero', target)"])
async def test_a_forged_exit_record(home: House, act: str) -> None:
    session = await home.open()
    async with asyncio.timeout(ANSWER_S):
        cell = await home.evaluate(session, FORGE.format(act=act))
        assert cell.end == "kernel_died"
        assert cell.exit is not None
        assert (cell.exit.code, cell.exit.signal) == (None, None)
        assert (await home.evaluate(session, "'anew'")).text == "'anew'"


async def test_a_directory_in_the_place_of_a_socket(home: House) -> None:
    session = await home.open()
    code = (
        "import json, os, sys\n"
        "f = [a for a in open('/proc/self/cmdline').read().split('\\0') if a.endswith('connection.json')][0]\n"
        "ip = json.load(open(f))['ip']\n"
        "os.unlink(ip + '-5'); os.mkdir(ip + '-5'); os._exit(3)"
    )
    async with asyncio.timeout(ANSWER_S):
        cell = await home.evaluate(session, code)
        assert (cell.end, cell.exit is not None and cell.exit.code) == ("kernel_died", 3)
        assert (await home.evaluate(session, "'anew'")).text == "'anew'"


async def test_a_stopped_shim_is_not_waited_for(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel_bridge.kernel_process.SHIM_S", 0.2)
    session = await home.open()
    async with asyncio.timeout(ANSWER_S):
        code = "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nos._exit(3)"
        assert (await home.evaluate(session, code)).end == "kernel_died"
        assert (await home.evaluate(session, "'anew'")).text == "'anew'"


async def test_what_a_kernel_started_does_not_outlive_a_killed_shim(home: House) -> None:
    session = await home.open()
    started = await home.evaluate(session, "import os, time\np = os.fork()\nif p == 0:\n    time.sleep(600)\np")
    cell = await home.evaluate(session, "import signal; os.kill(os.getppid(), signal.SIGKILL); time.sleep(5)")
    assert cell.end == "kernel_died"
    async with asyncio.timeout(ANSWER_S):
        while Path(f"/proc/{started.text}").exists():  # noqa: ASYNC110  its end has no other sign
            await asyncio.sleep(0.02)


async def test_a_forged_idle_does_not_end_a_cell(tmp_path: Path) -> None:
    async with house(tmp_path, idle_grace_s=0.2) as made:
        session = await made.open()
        code = (
            "import time\nk = get_ipython().kernel\n"
            "k.session.send(k.iopub_socket, 'status', {'execution_state': 'idle'}, parent=k.get_parent())\n"
            "time.sleep(1.0)\nprint('to the end')"
        )
        cell, after = await asyncio.gather(made.evaluate(session, code), made.evaluate(session, "print('next')"))
        assert (cell.end, cell.text) == ("ok", "to the end\n")
        assert after.text == "next\n"
        assert [event.type for event in await made.events(session) if event.type == "gap"] == []


async def test_payloads_of_any_depth_and_prompts_of_any_type(home: House) -> None:
    session = await home.open()
    async with asyncio.timeout(ANSWER_S):
        deep = "d = 1\nfor _ in range(400): d = [d]\n"
        page = "get_ipython().payload_manager.write_payload({'source': 'page', 'data': {'text/plain': d}})"
        cell, after = await asyncio.gather(home.evaluate(session, deep + page), home.evaluate(session, "print('next')"))
        assert (cell.end, after.text) == ("ok", "next\n")
        odd = "get_ipython().set_next_input('a\\udcffb')"
        assert (await home.evaluate(session, odd)).end == "ok"
        forged = (
            "k = get_ipython().kernel\n"
            "to = k._parent_ident['shell']\n"
            "k.session.send(k.stdin_socket, 'input_request', {'prompt': 7}, k.get_parent(), ident=to)"
        )
        asking = asyncio.create_task(
            home.evaluate(session, forged + "\nimport time; time.sleep(0.5)", allow_stdin=True)
        )
        asked = await home.until(session, "input_request")
        assert asked.content["prompt"] == ""
        assert (await asking).end == "ok"


async def test_a_timeout_during_an_interrupt_that_must_not_kill(tmp_path: Path) -> None:
    async with house(tmp_path, interrupt_kill=False, interrupt_again_s=0.5, interrupt_kill_s=0.5) as made:
        session = await made.open()
        code = DEAF + "time.sleep(60)"
        cell = asyncio.create_task(made.evaluate(session, code, timeout=1.0))
        await made.until(session, "stream")
        async with asyncio.timeout(ANSWER_S):
            await made.ask(hop.Interrupt(caller=ALICE, session=session))
            assert (await cell).end == "timeout"


async def test_an_interrupt_that_must_not_kill_says_that_it_was_unheeded(tmp_path: Path) -> None:
    async with house(tmp_path, interrupt_kill=False, interrupt_again_s=0.3, interrupt_kill_s=0.3) as made:
        session = await made.open()
        code = DEAF + "time.sleep(3)"
        cell = asyncio.create_task(made.evaluate(session, code))
        await made.until(session, "stream")
        told = await made.ask(hop.Interrupt(caller=ALICE, session=session))
        assert (told.step, told.end) == ("unheeded", None)
        assert (await cell).end == "ok"


async def test_closing_while_the_kernel_starts_answers_everybody(home: House) -> None:
    session = await home.open()
    asking = asyncio.gather(
        home.ask(hop.Complete(caller=ALICE, session=session, code="pri")),
        home.ask(hop.OpenSession(caller=ALICE, session=session, start=True)),
        home.evaluate(session, "1"),
        return_exceptions=True,
    )
    while not (home.root / "kernels").exists():  # noqa: ASYNC110  the start has no other sign from outside
        await asyncio.sleep(0.005)
    async with asyncio.timeout(ANSWER_S):
        await asyncio.gather(*(home.ask(hop.CloseSession(caller=ALICE, session=session)) for _ in range(3)))
        answers = await asking
    assert isinstance(answers[0], KernelStartFailed)
    assert isinstance(answers[1], KernelStartFailed)
    assert not isinstance(answers[2], BaseException)
    assert answers[2].end == "closed"


async def test_opening_again_waits_for_the_close(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "1")
    running = await home.evaluate(session, "import time; time.sleep(60)", wait=0.0)
    await home.until(session, "execute_input", cursor=running.cursor)
    async with asyncio.timeout(ANSWER_S):
        closing = asyncio.create_task(home.ask(hop.CloseSession(caller=ALICE, session=session)))
        await asyncio.sleep(0)
        with pytest.raises(SessionNotFound):
            await home.evaluate(session, "1")
        await home.open(session=session)
        both = await asyncio.gather(home.evaluate(session, "1"), home.evaluate(session, "2"))
        await closing
    assert [cell.end for cell in both] == ["ok", "ok"]


async def test_a_kernel_that_died_unseen_is_replaced_for_the_next_cell(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "1")
    for _ in range(3):
        os.kill(kernel_record(home).pid, signal.SIGKILL)
        await asyncio.sleep(0.02)  # within this time its death may be seen, but its last output is still being read
        cell = await home.evaluate(session, "'anew'")
        assert cell.end in ("ok", "kernel_died")
        if cell.end == "ok":
            assert cell.text == "'anew'"
    assert (await home.evaluate(session, "'anew'")).text == "'anew'"


async def test_deleting_a_session_wakes_who_reads_it(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "1")
    polls: list[asyncio.Task[Page]] = [
        asyncio.create_task(home.poll(session, cursor=cell.cursor, wait=300.0)) for _ in range(3)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(ANSWER_S):
        await home.ask(hop.CloseSession(caller=ALICE, session=session, delete=True))
        for poll in polls:
            with pytest.raises(SessionNotFound):
                await poll


async def test_retention_keeps_the_cells_that_have_not_ended(tmp_path: Path) -> None:
    small: dict[str, Any] = {"segment_bytes": 64 << 10, "retention_bytes": 128 << 10}
    async with house(tmp_path, **small) as first:
        session = await first.open()
        code = "for i in range(4000): print('x' * 100, flush=True)\nimport time; time.sleep(60)"
        await first.evaluate(session, code, cell="running", wait=0.0)
        await first.evaluate(session, "print('ran')", cell="waiting", wait=0.0)
        while (await first.poll(session, wait=0.0)).oldest < 1000:  # noqa: ASYNC110  until retention has struck
            await asyncio.sleep(0.05)
        desk = first.sessions._sessions[session]._desk  # pyright: ignore[reportPrivateUsage]
        monkey = pytest.MonkeyPatch()
        monkey.setattr(LineFile, "append", refuse)  # as if the host died here: nothing more is written
        first.sessions._sessions.pop(session)  # pyright: ignore[reportPrivateUsage]
        desk.cells.runner.queue.clear()
        slot = desk.cells.runner._slot  # pyright: ignore[reportPrivateUsage]
        await slot.close(kill=True)
        await desk.cells.runner.close()
        desk.journal.close()
        monkey.undo()
    async with house(tmp_path, **small) as second:
        second.sessions.expect_recovery()
        await second.sessions.recover()
        lost = await second.ask(hop.GetCell(caller=ALICE, session=session, cell="running"))
        assert (lost.end, lost.code) == ("lost", code)
        again = await second.evaluate(session, "print('ran')", cell="waiting")
        assert (again.end, again.text) == ("ok", "ran\n")


def refuse(_: LineFile, __: bytes) -> int:
    raise StoreFailed("disk_full")


async def test_with_a_full_disk_a_session_can_still_be_deleted(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await home.open()
    await home.evaluate(session, "1")

    def full(_: Path, __: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kernel_bridge.record.write_atomically", full)
    monkeypatch.setattr(LineFile, "append", refuse)
    with pytest.raises(LimitExceeded, match="no space") as error:
        await home.open()
    assert error.value.limit == "disk"
    with pytest.raises(LimitExceeded):
        await home.ask(hop.CloseSession(caller=ALICE, session=session))
    assert (await home.ask(hop.CloseSession(caller=ALICE, session=session, delete=True))).deleted
    assert list((home.root / "sessions").iterdir()) == []


async def test_what_could_not_be_written_at_a_stop_is_left_to_the_next_host(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        session = await made.open()
        await made.evaluate(session, "1", cell="written")
        monkey = pytest.MonkeyPatch()
        begun = await made.evaluate(session, "import time; time.sleep(0.3); print('once')", cell="c", wait=0.0)
        await made.until(session, "execute_input", cursor=begun.cursor)
        monkey.setattr(LineFile, "append", refuse)
        assert (await made.evaluate(session, "import time; time.sleep(0.3); print('once')", cell="c")).end == "ok"
        assert await made.sessions.stop() is False
        monkey.undo()
    async with house(tmp_path) as next_one:
        next_one.sessions.expect_recovery()
        cell = await next_one.evaluate(session, "import time; time.sleep(0.3); print('once')", cell="c")
        assert cell.end == "lost"  # it is not known how it ended, and it is not run again


async def test_leftovers_that_nobody_can_read_do_not_stop_a_host(tmp_path: Path) -> None:
    (tmp_path / "kernels/bad/kernel.json").mkdir(parents=True)
    (tmp_path / "kernels/worse").mkdir()
    os.mkfifo(tmp_path / "kernels/worse/kernel.json")
    (tmp_path / "runtime").write_text("/etc")
    async with asyncio.timeout(ANSWER_S):
        assert await leftovers.end(tmp_path, "auto") == 0


async def test_sockets_that_cannot_be_made_are_a_failed_start(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await home.open()

    def no_room(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("kernel_bridge.kernel_channels.KernelChannels._set_up", no_room)
    cell = await home.evaluate(session, "1")
    assert cell.end == "start_failed"
    assert "Too many open files" in cell.text
    monkeypatch.undo()
    assert (await home.evaluate(session, "2")).text == "2"
    with pytest.raises(BridgeError):
        await home.open(session="unknown")
