"""The pool: kernels that wait are handed over whole, and those that are of no use are not. See also test_forkserver."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge import hop, kernel_pool, leftovers, runtime_dir, waiting_kernel
from kernel_bridge.errors import HostUnavailable
from kernel_bridge.host import HOST_LOCK
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_record import KernelRecord, read_record
from kernel_bridge.record import SessionRecord
from kernel_bridge.sandbox.settings import SandboxSettings
from tests.e2e import processes
from tests.kernel.house import ALICE, House, house
from tests.kernel.other_kernels import install_echo
from tests.kernel.real_host import RealHost, real_host
from tests.kernel.test_forkserver import forking_house, gone, install_something, is_forked, the_server, value

BOUND_S = 30.0
NO_SANDBOX = SandboxSettings(profile="none")
"""where a kernel says its own number, or uses files of the test"""
IDS = "import os; os.getpid(), os.getcwd()"


async def filled(home: House) -> int:
    """How many kernels wait when the pool is full."""
    home.sessions.tend()
    async with asyncio.timeout(BOUND_S):
        return await home.sessions.pool.settled()


def waiting(kernels: Path) -> list[KernelRecord]:
    """The records of kernels that are no session's."""
    found = [read_record(path) for path in kernels.iterdir()] if kernels.is_dir() else []
    return [record for record in found if record is not None and not record.session]


def the_waiting(home: House) -> KernelRecord:
    (record,) = waiting(home.root / "kernels")
    return record


def workdirs(home: House) -> set[str]:
    return {path.name for path in (home.root / "workdirs").iterdir()}


def record_of(home: House, session: str) -> SessionRecord:
    return home.sessions.get(ALICE, session).record


async def test_each_waiting_kernel_is_one_sessions_and_the_pool_is_filled_again(tmp_path: Path) -> None:
    async with forking_house(tmp_path / "house", pool=2) as home:
        assert await filled(home) == 2
        there = waiting(home.root / "kernels")
        assert (await home.ask(hop.Stats(caller=ALICE))).kernels["pooled"] == 2
        sessions = [await home.open() for _ in range(2)]
        assert len(waiting(home.root / "kernels")) == 2, "a session without a cell needs no kernel"
        cells = [await home.evaluate(session, IDS) for session in sessions]
        assert [cell.execution_count for cell in cells] == [1, 1]
        found = [(home.record(session).pid, await value(home, session, "os.getcwd()")) for session in sessions]
        assert {pid for pid, _ in found} == {record.pid for record in there}
        for session, (pid, cwd) in zip(sessions, found, strict=True):
            record = record_of(home, session)
            stored = json.loads((home.root / "sessions" / session / "session.json").read_bytes())
            assert Path(cwd).resolve() == (home.root / "workdirs" / record.workdir).resolve()
            assert stored["workdir"] == record.workdir
            kernel = read_record(home.root / "kernels" / record.workdir)
            assert kernel is not None
            assert (kernel.session, kernel.pid, kernel.v) == (session, pid, 1)
        assert await filled(home) == 2
        assert {record.pid for record in waiting(home.root / "kernels")}.isdisjoint({pid for pid, _ in found})
        stats = await home.ask(hop.Stats(caller=ALICE))
        assert (stats.kernels["pooled"], stats.kernels["idle"]) == (2, 2)
        await home.ask(hop.CloseSession(caller=ALICE, session=sessions[0], delete=True))
        owned = {record_of(home, sessions[1]).workdir, *(record.kid for record in waiting(home.root / "kernels"))}
        assert workdirs(home) == owned
    assert workdirs(home) == {record_of(home, sessions[1]).workdir}


async def test_a_session_with_files_gets_no_kernel_that_waits(tmp_path: Path) -> None:
    async with forking_house(tmp_path / "house", pool=1) as home:
        session = await home.open()

        async def seen(code: str = "1") -> tuple[int, str]:
            cwd = await value(home, session, f"import os; {code}; os.getcwd()")
            return home.record(session).pid, cwd

        await filled(home)
        first = await seen("open('mine', 'w').close()")
        await filled(home)
        pooled = the_waiting(home).pid
        await home.ask(hop.Restart(caller=ALICE, session=session))
        restarted = await seen()
        assert (await home.evaluate(session, "os._exit(1)")).end == "kernel_died"
        anew = await seen()
        assert await is_forked(home, session)
        assert len({first[0], restarted[0], anew[0], pooled}) == 4
        assert first[1] == restarted[1] == anew[1]
        assert "mine" in await value(home, session, "os.listdir()")
        assert the_waiting(home).pid == pooled


async def test_what_a_kernel_printed_before_is_its_sessions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-hello.py").write_text(
        "import os, pathlib, threading, time\nmade_at_start = 7\n"
        "def greet():\n"
        f"    while not os.path.exists({str(tmp_path)!r} + f'/go-{{os.getpid()}}'): time.sleep(0.01)\n"
        f"    print('hello of', os.getpid(), flush=True)\n    pathlib.Path({str(tmp_path)!r}, 'said').touch()\n"
        "threading.Thread(target=greet).start()\n"
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    async with forking_house(tmp_path / "house", pool=1, sandbox=NO_SANDBOX) as home:
        for _ in range(2):
            await filled(home)
            (tmp_path / f"go-{the_waiting(home).pid}").touch()
            async with asyncio.timeout(BOUND_S):
                while not (tmp_path / "said").exists():  # noqa: ASYNC110  an outside process
                    await asyncio.sleep(0.01)
            (tmp_path / "said").unlink()
            await home.sessions.pool.ask()
            session = await home.open()
            pid = await value(home, session, "assert made_at_start == 7; os.getpid()")
            streams = [event for event in await home.events(session) if event.type == "stream"]
            assert [(event.cell, event.content["text"].strip(), event.late) for event in streams] == [
                (None, f"hello of {pid}", False)
            ]


async def test_kernels_that_died_or_stand_still_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_pool, "RETRY_S", (0.0,))
    async with forking_house(tmp_path / "house", pool=1, kernel_stop_s=0.5) as home:
        await filled(home)
        for number, whose in ((signal.SIGKILL, "pid"), (signal.SIGSTOP, "pid"), (signal.SIGSTOP, "shim_pid")):
            before = the_waiting(home)
            os.kill(getattr(before, whose), number)
            await struck(getattr(before, whose))
            session = await home.open()
            assert await value(home, session, "import os; 41 + 1") == 42
            assert home.record(session).pid != before.pid
            await gone(before.pid)
            assert await filled(home) == 1
            assert the_waiting(home).pid != before.pid
            assert before.kid not in workdirs(home)


async def struck(pid: int) -> None:
    """Return when the signal has done its work: the process is stopped or dead."""
    async with asyncio.timeout(BOUND_S):
        while processes.read(pid) is not None and not is_stopped(pid):  # noqa: ASYNC110  an outside process
            await asyncio.sleep(0.01)


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_a_kernel_that_does_not_answer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_pool, "ANSWER_S", 0.2)
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    # the main thread waits in C, as a stuck file system would have it; `go` is made when the kernel is in the pool
    (startup / "00-stuck.py").write_text(
        "import asyncio, ctypes, os, sys\n"
        f"def stuck():\n    if os.path.exists({str(tmp_path / 'go')!r}): ctypes.CDLL(None).pause()\n"
        "    asyncio.get_event_loop().call_later(0.01, stuck)\n"
        "asyncio.get_event_loop().call_soon(stuck)\n"
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    async with forking_house(tmp_path / "house", pool=1, sandbox=NO_SANDBOX) as home:
        await filled(home)
        before = the_waiting(home)
        (tmp_path / "go").touch()
        async with asyncio.timeout(BOUND_S):
            while home.sessions.pool.count and the_waiting(home) == before:
                await home.sessions.pool.ask()
        await gone(before.pid)
        (tmp_path / "go").unlink()


async def test_what_is_out_of_date_is_not_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Mine",
        "language": "python",
        "env": {"OWN": "first"},
    }
    file = tmp_path / "kernels" / "python3" / "kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setattr("kernel_bridge.kernelspecs.CACHE_S", 0.0)

    async def replaced(home: House, change: Callable[[], None]) -> str:
        await the_server(home)
        assert await filled(home) == 1
        before = the_waiting(home).pid
        change()
        session = await home.open()
        assert await value(home, session, "import os; 41 + 1") == 42
        assert home.record(session).pid != before
        await gone(before)
        return session

    async with forking_house(tmp_path / "house", pool=1) as home:
        await replaced(home, install_something)
        await replaced(home, lambda: monkeypatch.setattr(waiting_kernel, "AGE_S", 0.0))
        monkeypatch.setattr(waiting_kernel, "AGE_S", 3600.0)
        changed = json.dumps({**spec, "env": {"OWN": "second"}})

        def change_spec() -> None:
            file.write_text(changed)

        session = await replaced(home, change_spec)
        assert await value(home, session, "import os; os.environ['OWN']") == "second"

    async with forking_house(tmp_path / "other", pool=1) as home:
        server = (await the_server(home)).pid
        assert server is not None
        await filled(home)
        before = the_waiting(home).pid
        os.kill(server, signal.SIGKILL)
        await gone(server)
        assert (await the_server(home)).pid not in (None, server)
        assert await filled(home) == 1
        await gone(before)
        assert await is_forked(home, await started(home))


async def started(home: House) -> str:
    return await home.open(start=True)


async def test_a_kernel_that_prints_without_end_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-flood.py").write_text("print('x' * 3_000_000, flush=True)\n")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    async with forking_house(tmp_path / "house", pool=1, sandbox=NO_SANDBOX) as home:
        home.sessions.tend()
        async with asyncio.timeout(BOUND_S):
            while not home.sessions.pool.count:  # noqa: ASYNC110  the text may come after it is ready
                await asyncio.sleep(0.02)
            await gone_noisy(home)
        assert await home.sessions.pool.settled() == 0, "the next one would do the same: not at once"
        session = await home.open()
        await value(home, session, "1")
        streams = [event for event in await home.events(session) if event.type == "stream"]
        assert sum(event.content["text"].count("x") for event in streams) == 3_000_000


async def gone_noisy(home: House) -> None:
    while home.sessions.pool.count:
        await asyncio.sleep(0.02)
        home.sessions.tend()


async def test_kernels_that_cannot_be_forked_wait_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_echo(tmp_path / "jupyter", monkeypatch)
    async with house(tmp_path / "house", pool=3, pool_kernels={"Echo": 1, "missing": 2}) as home:
        assert await filled(home) == 1, "without a fork server none of the default kernelspec waits"
        record = the_waiting(home)
        session = await home.open(kernel="echo", start=True)
        kernel = read_record(home.root / "kernels" / record.kid)
        assert kernel is not None
        assert kernel.session == session
        assert "hello" in (await home.evaluate(session, "hello", wait=20.0)).text
        other = await home.open(start=True)
        assert record_of(home, other).workdir not in {path.name for path in (home.root / "kernels").iterdir()}
        assert await filled(home) == 1


@pytest.mark.parametrize("fails", ["kernel_bridge.session.store", "kernel_bridge.kernel_process.write_assigned"])
async def test_a_kernel_that_cannot_be_handed_over_is_ended_and_another_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    async with forking_house(tmp_path / "house", pool=1) as home:
        await filled(home)
        session = await home.open()
        before = the_waiting(home)

        def no_room(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(fails, no_room)
            _, cwd = await value(home, session, f"open('mine', 'w').close(); {IDS}")
        assert home.record(session).pid != before.pid
        await gone(before.pid)
        await filled(home)
        assert Path(cwd).name == record_of(home, session).workdir
        assert await value(home, session, "os.path.exists('mine')"), "its directory did not go with that kernel"


async def test_none_is_made_while_a_session_waits_for_its_kernel(tmp_path: Path) -> None:
    async with forking_house(tmp_path / "house", pool=1) as home:
        home.sessions.tally.kernels["starting"] += 1
        home.sessions.tend()
        await home.evaluate(await home.open(), "1", wait=20.0)
        assert not waiting(home.root / "kernels")
        home.sessions.tally.kernels["starting"] -= 1
        assert await filled(home) == 1


async def test_a_pool_that_fails_does_not_try_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_echo(tmp_path / "jupyter", monkeypatch, argv=[sys.executable, "-c", "raise SystemExit(3)"])
    async with house(tmp_path / "house", pool_kernels={"echo": 1}) as home:
        assert await filled(home) == 0
        assert await filled(home) == 0
        assert not list((home.root / "kernels").iterdir())
        assert not workdirs(home)


async def test_a_host_that_stops_while_one_starts_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = asyncio.Event()

    async def stands_still(*_: object) -> None:
        starting.set()
        await asyncio.Event().wait()

    async with house(tmp_path / "house", pool_kernels={"python3": 1}) as home:
        monkeypatch.setattr(Kernel, "start", stands_still)
        home.sessions.tend()
        async with asyncio.timeout(BOUND_S):
            await starting.wait()
        assert workdirs(home)
        await home.sessions.pool.close()
        assert not workdirs(home)
        assert not list((home.root / "kernels").iterdir())


async def test_no_culling_of_kernels_that_wait_and_none_are_a_users(tmp_path: Path) -> None:
    async with forking_house(tmp_path / "house", pool=1, kernel_idle_s=0.001, sessions_per_user=1) as home:
        await filled(home)
        record = the_waiting(home)
        await asyncio.sleep(0.01)
        assert await filled(home) == 1
        assert the_waiting(home) == record
        assert (await home.ask(hop.Stats(caller=ALICE))).sessions.get("open", 0) == 0
        await home.open()


# -- hosts that die ----------------------------------------------------------------------------------------------------


async def in_pool(host: RealHost) -> KernelRecord:
    """The kernel that waits, as soon as one is ready."""
    kernels = host.state_dir / "kernels"
    async with asyncio.timeout(BOUND_S):
        while True:
            for record in waiting(kernels):
                if (kernels / record.kid / "info.json").exists():
                    return record
            await asyncio.sleep(0.02)


async def forgotten(host: RealHost, record: KernelRecord) -> None:
    """Return when the kernel has ended, and its record, which is the last of it, is gone."""
    await gone(record.pid)
    async with asyncio.timeout(BOUND_S):
        while True:
            if not (host.state_dir / "kernels" / record.kid).exists():
                return
            await asyncio.sleep(0.02)


async def test_a_new_host_takes_over_what_was_handed_over_and_ends_what_waits(tmp_path: Path) -> None:
    async with real_host(tmp_path, pool=1) as host:
        first = await in_pool(host)
        session = await host.open()
        told = await host.evaluate(session, f"kept = 41; {IDS}", wait=20.0)
        assert first.kid in told.text, "its working directory"
        second = await in_pool(host)
        await host.replace()
        assert (await host.evaluate(session, "kept + 1", wait=20.0)).text == "42"
        await forgotten(host, second)
        third = await in_pool(host)
        assert {path.name for path in (host.state_dir / "workdirs").iterdir()} == {first.kid, third.kid}
        assert processes.read(first.pid) is not None
    assert {path.name for path in (host.state_dir / "workdirs").iterdir()} == {first.kid}
    assert (host.state_dir / HOST_LOCK).exists()


async def test_kernels_that_wait_leave_nothing_when_no_host_comes(tmp_path: Path) -> None:
    async with real_host(tmp_path, pool=1) as host:
        record = await in_pool(host)
        await host.die()
        assert (host.state_dir / "workdirs" / record.kid).is_dir()
        sockets = runtime_dir.find(host.state_dir)
        assert await leftovers.end(host.state_dir, "auto") == 1
        assert not sockets.exists()
        assert not list((host.state_dir / "workdirs").iterdir())
        await gone(record.pid)
        await host.start()


@pytest.mark.parametrize(
    "point",
    [
        "kernel_bridge.session:Session._adopt_workdir:before:1",
        "kernel_bridge.session:Session._adopt_workdir:after:1",
        "kernel_bridge.kernel_process:write_assigned:after:1",
    ],
)
async def test_a_host_that_dies_while_it_hands_over(tmp_path: Path, point: str) -> None:
    async with real_host(tmp_path, pool=1) as host:
        await host.die()
        await host.start(sys.executable, "-m", "tests.kernel.fatal_host", point)
        record = await in_pool(host)
        session = await host.open()
        with suppress(HostUnavailable):  # it may not live to answer
            await host.evaluate(session, "open('ran', 'a').write('x')", cell="c", wait=0.0)
        await host.fell(BOUND_S)
        await host.start()
        page = await host.poll(session, cell="c", cursor=0, wait=20.0)
        while not page.done:
            page = await host.poll(session, cell="c", cursor=page.cursor, wait=20.0)
        cell = await host.ask(hop.GetCell(caller=ALICE, session=session, cell="c"))
        assert cell.end == "ok", cell.text
        if not point.startswith("kernel_bridge.kernel_process"):
            await gone(record.pid)
        stored = json.loads((host.state_dir / "sessions" / session / "session.json").read_bytes())
        ran = list(host.state_dir.glob("workdirs/*/ran"))
        assert [(path.parent.name, path.read_text()) for path in ran] == [(stored["workdir"], "x")]
