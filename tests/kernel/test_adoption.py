"""A host dies by SIGKILL and another one takes over its kernels: real processes, the kernels' own variables intact."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from kernel_bridge import hop
from kernel_bridge.errors import NotWaitingForInput
from kernel_bridge.results import Cell
from tests.e2e import processes
from tests.kernel.house import ALICE, Event
from tests.kernel.other_kernels import install_bash, install_echo
from tests.kernel.real_host import RealHost, real_host

FILE_S = 20.0
COUNTING = """
import os, time
number, last = 0, None
while number != last:
    print(number, flush=True)
    number += 1
    if last is None and os.path.exists('go'):
        last = number + 20
    time.sleep(0.02)
"""
UNTIL_FILE = """
import os, time
print('waits', flush=True)
while not os.path.exists('go'):
    time.sleep(0.02)
"""


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[RealHost]:
    async with real_host(tmp_path) as made:
        yield made


async def file(host: RealHost, name: str) -> Path:
    """A file in the one working directory, when it is there and not empty."""
    async with asyncio.timeout(FILE_S):
        while True:
            for path in host.state_dir.glob(f"workdirs/*/{name}"):
                if path.stat().st_size:
                    return path
            await asyncio.sleep(0.02)


def let_go(host: RealHost) -> None:
    (workdir,) = host.state_dir.glob("workdirs/*")
    (workdir / "go").touch()


async def begun(host: RealHost, session: str, code: str, cell: str = "ran", **members: object) -> Event:
    """Evaluate it; returns when it has printed something."""
    made = await host.evaluate(session, code, cell=cell, wait=0.0, **members)
    return await host.until(session, "stream", cursor=made.cursor)


async def ended(host: RealHost, session: str, cell: str) -> Cell:
    cursor = 0
    done: bool | None = False
    while not done:
        page = await host.poll(session, cell=cell, cursor=cursor, wait=30.0)
        cursor, done = page.cursor, page.done
    return await host.ask(hop.GetCell(caller=ALICE, session=session, cell=cell))


async def gaps(host: RealHost, session: str) -> list[str | None]:
    return [event.cell for event in await host.events(session) if event.type == "gap"]


async def states(host: RealHost, session: str, cell: str) -> list[str]:
    events = await host.events(session, cell=cell)
    return [event.content["state"] for event in events if event.type == "cell"]


# -- a cell that runs ------------------------------------------------------------------------------------------------


async def test_a_cell_prints_through_the_crash_and_the_queue_goes_on(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(session, "kept = 41")
    pid = host.kernel().pid
    await begun(host, session, COUNTING + "_ = open('ran', 'a').write(f'{last}.')")
    for number in range(3):
        append = f"kept += 1; open('order', 'a').write('{number} '); kept"
        await host.evaluate(session, append, cell=f"q{number}", wait=0.0)

    await host.replace()

    gap = await host.until(session, "gap")
    await host.until(session, "stream", cursor=gap.seq)
    let_go(host)
    assert (await host.evaluate(session, "kept", wait=30.0)).text == "44"
    cell = await ended(host, session, "ran")
    assert (cell.end, cell.execution_count) == ("ok", 2)
    events = await host.events(session)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    numbers = [int(word) for event in events if event.type == "stream" for word in event.content["text"].split()]
    assert numbers == sorted(set(numbers))
    last = numbers[-1] + 1
    assert (await file(host, "ran")).read_text() == f"{last}."
    at = [event.type for event in events].index("gap")
    before, after = (
        [int(word) for event in part if event.type == "stream" for word in event.content["text"].split()]
        for part in (events[:at], events[at:])
    )
    assert before == list(range(len(before)))
    assert after == list(range(after[0], last))
    assert cell.text.split() == [str(number) for number in before + after]
    assert await gaps(host, session) == ["ran"]
    assert [(await ended(host, session, f"q{number}")).text for number in range(3)] == ["42", "43", "44"]
    assert (await file(host, "order")).read_text() == "0 1 2 "
    assert host.kernel().pid == pid
    assert not [event for event in events if event.late]


async def test_a_cell_that_ended_while_nobody_was_there(host: RealHost) -> None:
    session = await host.open()
    await begun(host, session, UNTIL_FILE + "kept = 7; open('over', 'w').write('x'); kept")
    await host.evaluate(session, "kept", cell="next", wait=0.0)
    await host.die()
    let_go(host)
    await file(host, "over")
    await host.start()
    cell = await ended(host, session, "ran")
    assert (cell.end, cell.execution_count) == ("ok", 1)
    assert cell.text == "waits\n"  # its value went to nobody: hence the gap
    assert (await ended(host, session, "next")).text == "7"
    assert await gaps(host, session) == ["ran"]


async def test_a_cell_that_failed_while_nobody_was_there_aborts_the_queue(host: RealHost) -> None:
    session = await host.open()
    await begun(host, session, UNTIL_FILE + "open('over', 'w').write('x'); 1/0")
    await host.evaluate(session, "1", cell="next", wait=0.0)
    await host.die()
    let_go(host)
    await file(host, "over")
    await host.start()
    assert (await ended(host, session, "ran")).end == "error"
    assert (await ended(host, session, "next")).end == "aborted"


async def test_the_last_output_of_a_cell_that_ends_now_is_not_late(host: RealHost) -> None:
    """It ends at about the time at which the new host connects; what comes over after the gap belongs to it."""
    session = await host.open()
    for round_ in range(3):
        code = f"import time\nprint('begins', flush=True)\ntime.sleep({0.3 + 0.1 * round_})\nprint('ends')"
        await begun(host, session, code, cell=f"c{round_}")
        await host.replace()
        assert (await ended(host, session, f"c{round_}")).end == "ok"
    await host.evaluate(session, "1")
    assert not [event for event in await host.events(session) if event.late]
    assert await gaps(host, session) == ["c0", "c1", "c2"]


async def test_two_crashes_in_a_row_and_some_in_the_middle_of_taking_over(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(session, "kept = 1")
    await begun(host, session, COUNTING + "_ = open('ran', 'a').write('x')")
    await host.evaluate(session, "kept += 1; kept", cell="next", wait=0.0)
    await host.replace()
    await host.replace()
    for moment_s in (0.0, 0.25, 0.35, 0.45):
        await host.die()
        await host.begin()
        await asyncio.sleep(moment_s)
    await host.replace()
    let_go(host)
    assert (await ended(host, session, "ran")).end == "ok"
    assert (await ended(host, session, "next")).text == "2"
    assert (await file(host, "ran")).read_text() == "x"
    numbers = (await ended(host, session, "ran")).text.split()
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers, key=int)
    assert 3 <= len(await gaps(host, session)) <= 7


async def test_a_frozen_host_that_is_killed(host: RealHost) -> None:
    session = await host.open()
    await begun(host, session, COUNTING)
    await host.die(frozen_s=0.5)
    await host.start()
    gap = await host.until(session, "gap")
    await host.until(session, "stream", cursor=gap.seq)
    let_go(host)
    cell = await ended(host, session, "ran")
    numbers = [int(word) for word in cell.text.split()]
    assert (cell.end, numbers) == ("ok", sorted(set(numbers)))
    assert await gaps(host, session) == ["ran"]


async def test_an_idle_kernel_and_what_its_threads_print(host: RealHost) -> None:
    session = await host.open()
    code = (
        "import threading, os, time\ndef work():\n"
        "    while not os.path.exists('go'): time.sleep(0.02)\n    print('by a thread', flush=True)\n"
        "threading.Thread(target=work).start()"
    )
    await host.evaluate(session, code)
    await host.replace()
    first = await host.evaluate(session, "print('at once')")
    assert (first.end, first.text) == ("ok", "at once\n")
    let_go(host)
    event = await host.until(session, "stream", cursor=first.cursor)
    assert (event.content["text"].strip(), event.late) == ("by a thread", True)
    assert await gaps(host, session) == [None]
    found = await host.ask(hop.SessionInfo(caller=ALICE, session=session))
    assert (found.kernel_state, found.language, found.lossless) == ("idle", "python", True)


async def test_c_code_that_holds_the_interpreter(host: RealHost) -> None:
    """The kernel answers nobody: its cell runs, as far as anybody knows, and ends as it ends."""
    session = await host.open()
    code = (
        "import ctypes, time\nprint('holds', flush=True)\ntime.sleep(0.3)  # for the thread that sends it\n"
        "ctypes.PyDLL(None).sleep(5)\nprint('through')"
    )
    await begun(host, session, code)
    await host.replace()
    found = await host.ask(hop.SessionInfo(caller=ALICE, session=session))
    assert (found.running, found.kernel_state) == ("ran", "busy")
    cell = await ended(host, session, "ran")
    assert (cell.end, cell.text) == ("ok", "holds\nthrough\n")


async def test_interrupt_and_introspection_after_adoption(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(session, "import os; variable_of_old = 1")
    await begun(host, session, "import time\nprint('sleeps', flush=True)\ntime.sleep(60)")
    await host.replace()
    completion = await host.ask(hop.Complete(caller=ALICE, session=session, code="variable_of"))
    assert [match.text for match in completion.matches] == ["variable_of_old"]
    interruption = await host.ask(hop.Interrupt(caller=ALICE, session=session))
    assert (interruption.cell, interruption.end) == ("ran", "interrupted")
    assert interruption.step in ("interrupt", "interrupt_again")
    assert (await host.evaluate(session, "variable_of_old")).text == "1"


async def test_a_timeout_counts_from_the_start_under_the_old_host(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(session, "1")
    await begun(host, session, "import time\nprint('sleeps', flush=True)\ntime.sleep(60)", timeout=2.5)
    await host.replace()
    cell = await ended(host, session, "ran")
    assert cell.end == "timeout"
    assert 2.4 < _seconds(cell) < 10.0
    assert (await host.evaluate(session, "'goes on'")).text == "'goes on'"


async def test_a_timeout_that_came_after_the_end_is_none(host: RealHost) -> None:
    session = await host.open()
    await begun(host, session, UNTIL_FILE + "open('over', 'w').write('x')", timeout=2.0)
    await host.die()
    let_go(host)
    await file(host, "over")
    await asyncio.sleep(2.0)  # nobody is there when its time is over
    await host.start()
    assert (await ended(host, session, "ran")).end == "ok"


def _seconds(cell: Cell) -> float:
    assert cell.started_at is not None
    assert cell.finished_at is not None
    return (datetime.fromisoformat(cell.finished_at) - datetime.fromisoformat(cell.started_at)).total_seconds()


# -- input -----------------------------------------------------------------------------------------------------------


async def test_an_input_that_waits_keeps_its_id(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(
        session, "x = input('name? '); y = input('again? '); x, y", cell="ran", wait=0.0, allow_stdin=True
    )
    asked = await host.until(session, "input_request")
    await host.until(session, "cell", state="waiting_input")
    await host.replace()
    found = await host.ask(hop.SessionInfo(caller=ALICE, session=session))
    assert found.input_id == asked.content["id"]
    await host.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="Ada"))
    second = await host.until(session, "input_request", cursor=asked.seq)
    assert second.content["prompt"] == "again? "
    with pytest.raises(NotWaitingForInput):
        await host.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="late"))
    await host.ask(hop.InputReply(caller=ALICE, session=session, id=second.content["id"], value="Eve"))
    assert (await ended(host, session, "ran")).text.endswith("('Ada', 'Eve')")
    asks = [event for event in await host.events(session) if event.type == "input_request"]
    assert len(asks) == 2


async def test_an_input_that_was_asked_for_while_nobody_was_there(host: RealHost) -> None:
    session = await host.open()
    code = UNTIL_FILE + "import getpass\nopen('over', 'w').write('x')\nx = getpass.getpass('secret? ')\nx"
    await begun(host, session, code, allow_stdin=True)
    await host.die()
    let_go(host)
    await file(host, "over")
    await asyncio.sleep(0.2)
    await host.start()
    asked = await host.until(session, "input_request")
    assert (asked.content["prompt"], asked.content["password"]) == ("secret? ", True)
    await host.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="s3cret"))
    assert (await ended(host, session, "ran")).end == "ok"
    assert await states(host, session, "ran") == ["queued", "running", "waiting_input", "running", "done"]
    asks = [event for event in await host.events(session) if event.type == "input_request"]
    assert len(asks) == 1


async def test_an_input_that_was_answered_is_not_asked_for_again(host: RealHost) -> None:
    session = await host.open()
    code = "x = input('name? ')\nopen('got', 'w').write(x)\n" + UNTIL_FILE
    await host.evaluate(session, code, cell="ran", wait=0.0, allow_stdin=True)
    asked = await host.until(session, "input_request")
    await host.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="Ada"))
    assert (await file(host, "got")).read_text() == "Ada"
    await host.die()
    cut_log(host, after='{"state":"waiting_input"}')  # as if the host had died before it wrote down the answer
    await host.start()
    await host.until(session, "cell", cursor=asked.seq + 1, state="running")
    let_go(host)
    assert (await ended(host, session, "ran")).end == "ok"
    asks = [event for event in await host.events(session) if event.type == "input_request"]
    assert len(asks) == 1


def cut_log(host: RealHost, *, after: str) -> None:
    """Take the end off a log, from behind the last line that holds `after`: what a host did not come to write."""
    (path,) = host.state_dir.glob("sessions/*/events-*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    last = max(index for index, line in enumerate(lines) if after in line)
    path.write_text("".join(lines[: last + 1]))


# -- nothing runs twice ----------------------------------------------------------------------------------------------


async def test_a_cell_that_the_log_has_as_queued_but_ran(host: RealHost) -> None:
    """On a full disk a cell begins without its `running` in the log: its kernel knows better."""
    session = await host.open()
    await host.evaluate(session, "1")
    begin = await host.evaluate(session, "open('one', 'a').write('x')", cell="one", wait=10.0)
    assert begin.end == "ok"
    await begun(host, session, "open('two', 'a').write('x')\n" + UNTIL_FILE, cell="two")
    await host.die()
    (cells,) = host.state_dir.glob("sessions/*/cells.jsonl")
    cells.write_text(
        "".join(line for line in cells.read_text().splitlines(keepends=True) if '"cell":"one"' not in line)
    )
    forge_queued(host, "one", "two")
    await host.start()
    await host.until(session, "cell", state="running", cursor=(await host.events(session, cell="two"))[0].seq)
    let_go(host)
    assert [(await ended(host, session, name)).end for name in ("one", "two")] == ["ok", "ok"]
    assert [(await file(host, name)).read_text() for name in ("one", "two")] == ["x", "x"]


def forge_queued(host: RealHost, *cells: str) -> None:
    """Have the log as a full disk leaves it: of these cells nothing but that they were queued."""
    (path,) = host.state_dir.glob("sessions/*/events-*.jsonl")
    kept: list[str] = []
    queued: list[str] = []
    for line in path.read_text().splitlines(keepends=True):
        if not any(f'"cell":"{cell}"' in line for cell in cells):
            kept.append(line)
        elif '"state":"queued"' in line:
            queued.append(line)
    newest = max(msgspec.json.decode(line).get("seq", 0) for line in kept)
    for number, line in enumerate(queued, newest + 1):
        old = msgspec.json.decode(line)["seq"]
        kept.append(line.replace(f'"seq":{old},', f'"seq":{number},', 1))
    path.write_text("".join(kept))


async def test_a_cell_that_the_kernel_never_got_is_lost(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(session, "kept = 1")
    pid = host.kernel().pid
    await begun(host, session, UNTIL_FILE)
    await host.evaluate(session, "kept", cell="next", wait=0.0)
    await host.die()
    (path,) = host.state_dir.glob("sessions/*/events-*.jsonl")
    path.write_text(path.read_text().replace('"cell":"ran"', '"cell":"never-sent"'))
    let_go(host)
    await host.start()
    assert (await ended(host, session, "never-sent")).end == "lost"
    assert (await ended(host, session, "next")).text == "1"
    assert host.kernel().pid == pid
    assert await gaps(host, session) == ["never-sent"]


# -- kernels that do not live, or should not --------------------------------------------------------------------------


async def test_a_kernel_that_died_while_nobody_was_there(host: RealHost) -> None:
    session = await host.open()
    await begun(host, session, UNTIL_FILE + "os._exit(7)")
    await host.evaluate(session, "1", cell="next", wait=0.0)
    kernel = host.kernel()
    await host.die()
    let_go(host)
    assert await asyncio.to_thread(kernel.wait, FILE_S)
    await until_file(next(iter(host.state_dir.glob("kernels/*"))) / "exit.json")
    await host.start()
    cell = await ended(host, session, "ran")
    assert cell.end == "kernel_died"
    assert cell.exit is not None
    assert cell.exit.code == 7
    assert (await ended(host, session, "next")).end == "aborted"
    assert await gaps(host, session) == ["ran"]
    found = await host.ask(hop.SessionInfo(caller=ALICE, session=session))
    assert found.kernel_state == "dead"
    assert (await host.evaluate(session, "'anew'")).text == "'anew'"
    notice = await host.until(session, "notice")
    assert (notice.content["kind"], notice.content["exit"]["code"]) == ("kernel_started_anew", 7)


async def until_file(path: Path) -> None:
    async with asyncio.timeout(FILE_S):
        while not path.exists():  # noqa: ASYNC110  another process makes it
            await asyncio.sleep(0.02)


async def test_a_kernel_that_dies_after_its_adoption(host: RealHost) -> None:
    session = await host.open()
    await begun(host, session, UNTIL_FILE)
    await host.replace()
    await host.poll(session, wait=0.0)
    os.kill(host.kernel().pid, signal.SIGKILL)
    async with asyncio.timeout(5.0):
        cell = await ended(host, session, "ran")
    assert cell.end == "kernel_died"
    assert cell.exit is not None
    assert cell.exit.signal == 9


async def test_a_kernel_that_was_still_starting(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(session, "open('ran', 'a').write('x'); 'started'", cell="first", wait=0.0)
    await host.evaluate(session, "'second'", cell="second", wait=0.0)
    async with asyncio.timeout(FILE_S):
        while not list(host.state_dir.glob("kernels/*/kernel.json")):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    record = host.kernel_record()
    await host.replace()
    assert (await ended(host, session, "second")).text == "'second'"
    assert (await ended(host, session, "first")).end == "ok"
    assert (await file(host, "ran")).read_text() == "x"
    assert host.kernel().pid == record.pid
    assert await gaps(host, session) == []


async def test_kernels_that_nobody_adopts_end(tmp_path: Path) -> None:
    async with real_host(tmp_path, orphan_grace_s=0.5) as host:
        session = await host.open()
        await begun(host, session, UNTIL_FILE)
        kernel = host.kernel()
        await host.die()
        assert await asyncio.to_thread(kernel.wait, 15.0)
        await host.start()
        cell = await ended(host, session, "ran")
        assert cell.end == "kernel_died"
        assert (await host.evaluate(session, "'anew'")).text == "'anew'"


async def test_a_kernel_whose_connection_file_is_damaged_is_ended(host: RealHost) -> None:
    session = await host.open()
    await begun(host, session, UNTIL_FILE)
    kernel = host.kernel()
    await host.die()
    (path,) = host.state_dir.glob("kernels/*/connection.json")
    path.write_bytes(path.read_bytes().replace(b'"ip":"/', b'"ip":"/elsewhere/'))
    await host.start()
    assert (await ended(host, session, "ran")).end == "kernel_died"
    assert await asyncio.to_thread(kernel.wait, FILE_S)
    assert (await host.evaluate(session, "'anew'")).text == "'anew'"


async def test_without_its_answer_on_file_a_busy_kernel_is_taken_over(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(session, "kept = 1")
    await begun(host, session, UNTIL_FILE)
    await host.evaluate(session, "kept", cell="next", wait=0.0)
    await host.die()
    (path,) = host.state_dir.glob("kernels/*/info.json")
    path.unlink()
    await host.start()
    let_go(host)
    assert (await ended(host, session, "next")).text == "1"
    info = await host.ask(hop.KernelInfo(caller=ALICE, session=session))
    assert info.implementation == "ipython"


async def test_of_two_kernels_of_one_session_the_newest_is_kept(host: RealHost) -> None:
    first, second = await host.open(), await host.open()
    await host.evaluate(first, "which = 'old'")
    old = host.kernel_record()
    await host.evaluate(second, "which = 'new'")
    await host.die()
    for path in host.state_dir.glob("kernels/*/kernel.json"):
        path.write_text(path.read_text().replace(second, first))
    await host.start()
    assert (await host.evaluate(first, "which")).text == "'new'"
    async with asyncio.timeout(FILE_S):
        while (host.state_dir / "kernels" / old.kid).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert processes.read(old.pid) is None
    assert host.kernel_record().session == first
    assert (await host.evaluate(second, "'which' in globals()")).text == "False"


# -- what is asked meanwhile ------------------------------------------------------------------------------------------


async def test_restart_close_and_delete_right_after_the_crash(host: RealHost) -> None:
    sessions = [await host.open() for _ in range(3)]
    for session in sessions:
        await begun(host, session, UNTIL_FILE)
    await host.replace()
    restarted = await host.ask(hop.Restart(caller=ALICE, session=sessions[0]))
    assert restarted.cell == "ran"
    assert (await host.evaluate(sessions[0], "'time' in globals()")).text == "False"
    await host.ask(hop.CloseSession(caller=ALICE, session=sessions[1]))
    assert (await ended(host, sessions[1], "ran")).end == "closed"
    assert (await host.ask(hop.CloseSession(caller=ALICE, session=sessions[2], delete=True))).deleted
    assert len(list(host.state_dir.glob("kernels/*"))) == 1


async def test_a_session_that_was_closed_keeps_no_kernel(host: RealHost) -> None:
    session = await host.open()
    await begun(host, session, UNTIL_FILE)
    await host.evaluate(session, "1", cell="next", wait=0.0)
    kernel = host.kernel()
    await host.die()
    record = host.state_dir / "sessions" / session / "session.json"
    record.write_bytes(record.read_bytes().replace(b'"closed":false', b'"closed":true'))
    await host.start()
    assert await asyncio.to_thread(kernel.wait, FILE_S)
    assert [(await ended(host, session, name)).end for name in ("ran", "next")] == ["closed", "closed"]


async def test_one_slow_kernel_holds_nobody_up(host: RealHost) -> None:
    slow, quick = await host.open(), await host.open()
    await begun(host, slow, UNTIL_FILE)
    pid = host.kernel().pid
    await host.evaluate(quick, "kept = 1")
    await host.die()
    os.kill(pid, signal.SIGSTOP)
    try:
        await host.start()
        async with asyncio.timeout(2.0):
            assert (await host.evaluate(quick, "kept")).text == "1"
        found = await host.ask(hop.SessionInfo(caller=ALICE, session=slow))
        assert (found.running, found.kernel_state) == ("ran", "busy")
    finally:
        os.kill(pid, signal.SIGCONT)
    let_go_of(host)
    assert (await ended(host, slow, "ran")).end == "ok"


def let_go_of(host: RealHost) -> None:
    for workdir in host.state_dir.glob("workdirs/*"):
        (workdir / "go").touch()


# -- kernels without our launcher --------------------------------------------------------------------------------------


async def test_bash_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_bash(tmp_path / "jupyter", monkeypatch)
    async with real_host(tmp_path) as host:
        session = await host.open(kernel="bash")
        await host.evaluate(session, "kept=41")
        await begun(host, session, "echo waits; while [ ! -e go ]; do sleep 0.02; done; rm go; echo goes on")
        await host.evaluate(session, "echo $((kept + 1))", cell="next", wait=0.0)
        await host.replace()
        gap = await host.until(session, "gap")
        await asyncio.sleep(0.2)  # for its connections
        let_go(host)
        ran = await ended(host, session, "ran")
        assert (ran.end, ran.text) == ("ok", "waits\ngoes on\n")
        assert gap.cell == "ran"
        assert (await ended(host, session, "next")).text == "42\n"
        await begun(host, session, "echo waits; while [ ! -e go ]; do sleep 0.02; done; echo x > over", cell="away")
        await host.die()
        let_go(host)
        await file(host, "over")
        await asyncio.sleep(0.5)
        await host.start()
        assert (await ended(host, session, "away")).end == "lost"
        assert (await host.evaluate(session, "echo $kept")).text == "41\n"
        assert await gaps(host, session) == ["ran", "away"]


async def test_a_kernel_that_only_speaks_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sockets have no ROUTER_HANDOVER: a reply to the dead host's request reaches nobody."""
    install_echo(tmp_path / "jupyter", monkeypatch)
    async with real_host(tmp_path) as host:
        session = await host.open(kernel="echo")
        await host.evaluate(session, "hello")
        pid = host.kernel().pid
        await begun(host, session, "wait")
        await host.evaluate(session, "next", cell="next", wait=0.0)
        await host.replace()
        found = await host.ask(hop.SessionInfo(caller=ALICE, session=session))
        assert found.running == "ran"
        await host.ask(hop.Interrupt(caller=ALICE, session=session))
        cell = await ended(host, session, "ran")
        assert cell.end == "interrupted"
        assert (await host.evaluate(session, "again")).text == "again\n"
        await host.evaluate(session, "ask", cell="asks", wait=0.0, allow_stdin=True)
        asked = await host.until(session, "input_request")
        await host.replace()
        await host.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="told"))
        asks = await ended(host, session, "asks")
        assert (asks.end, asks.text) == ("lost", "told\n")
        assert (await host.evaluate(session, "on")).text == "on\n"
        assert host.kernel().pid == pid
        assert await gaps(host, session) == ["ran", "asks"]
