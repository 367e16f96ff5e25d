"""Real processes: the shim, what it starts, and how the host sees it end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from kernel_bridge import launch, pidfd
from kernel_bridge.host_lock import HostLock
from kernel_bridge.launch import ExitRecord, KernelLaunch, KernelProcess, LaunchFailed

BOUND_S = 20.0
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


class Mailbox:
    """A FIFO on which kernels under test say where they are: `tell(words)` in their code."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Open for writing too, so that there is no end of file between two writers.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._data = b""
        self.prelude = (
            f"import os, sys, time\n"
            f"def tell(words):\n"
            f"    fd = os.open({str(path)!r}, os.O_WRONLY)\n"
            f"    os.write(fd, (str(words) + '\\n').encode())\n"
            f"    os.close(fd)\n"
        )

    async def line(self) -> str:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._fd, readable.set)
        try:
            async with asyncio.timeout(BOUND_S):
                while b"\n" not in self._data:
                    await readable.wait()
                    readable.clear()
                    with contextlib.suppress(BlockingIOError):
                        self._data += os.read(self._fd, 65536)
        finally:
            loop.remove_reader(self._fd)
        line, _, self._data = self._data.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        os.close(self._fd)


class Bench:
    """Starts kernels of its own making and leaves none behind."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.lock = HostLock(tmp_path / "host.lock")
        self.mailbox = Mailbox(tmp_path / "mailbox")
        self._processes: list[KernelProcess] = []
        self._strangers = own_children()

    def children(self) -> list[int]:
        """Children of this process, zombies among them, without those of other tests."""
        return [pid for pid in own_children() if pid not in self._strangers]

    def launch(self, argv: list[str], *, grace_s: float = 600.0, workdir: str | None = None) -> KernelLaunch:
        kid = f"kid{len(list(self.path.glob('kid*')))}"
        (self.path / kid).mkdir()
        return KernelLaunch(
            argv=argv,
            env={"PATH": os.environ["PATH"], "SECRET": "s3cret"},
            workdir=workdir or str(self.path),
            kernel_dir=str(self.path / kid),
            kid=kid,
            session="host.session",
            lock_path=str(self.path / "host.lock"),
            orphan_grace_s=grace_s,
        )

    async def start(self, argv: list[str], *, grace_s: float = 600.0, workdir: str | None = None) -> KernelProcess:
        return await self.start_launch(self.launch(argv, grace_s=grace_s, workdir=workdir))

    async def start_launch(self, asked: KernelLaunch) -> KernelProcess:
        process = await launch.start(asked)
        self._processes.append(process)
        return process

    async def python(self, code: str, *, grace_s: float = 600.0) -> KernelProcess:
        return await self.start([sys.executable, "-I", "-S", "-c", self.mailbox.prelude + code], grace_s=grace_s)

    async def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(RuntimeError):
                await process.kill(5.0)
            process.close()
        self.mailbox.close()
        self.lock.release()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    try:
        yield bench
    finally:
        await bench.close()


async def ended(process: KernelProcess) -> ExitRecord:
    async with asyncio.timeout(BOUND_S):
        return await process.wait()


def is_gone(pid: int) -> bool:
    """No such process, not even a zombie."""
    return not Path(f"/proc/{pid}").exists()


def own_children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


async def test_an_exit_code_and_the_last_words_are_kept(bench: Bench) -> None:
    process = await bench.python("print('out', flush=True); sys.stderr.write('err\\n'); sys.exit(3)")
    record = await ended(process)
    assert (record.code, record.signal, record.oom, record.stderr) == (3, None, None, "out\nerr\n")
    assert record.time is not None
    assert len(record.time) == 24
    assert record.exit.code == 3
    exit_file = bench.path / "kid0" / "exit.json"
    assert exit_file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in exit_file.parent.iterdir()) == ["exit.json", "kernel.json"]
    assert not process.alive


async def test_a_signal_death_is_told_from_a_code(bench: Bench) -> None:
    process = await bench.python("os.kill(os.getpid(), 11)")
    record = await ended(process)
    assert (record.code, record.signal) == (None, signal.SIGSEGV)


async def test_a_program_that_is_not_there_is_an_exit_with_a_sentence(bench: Bench) -> None:
    process = await bench.start(["no-such-kernel", "-f", "x"])
    record = await ended(process)
    assert (record.code, record.signal) == (127, None)
    assert record.stderr == "cannot start no-such-kernel: No such file or directory\n"


async def test_a_program_that_may_not_run_is_an_exit_with_a_sentence(bench: Bench) -> None:
    program = bench.path / "plain.txt"
    program.write_text("no program")
    record = await ended(await bench.start([str(program)]))
    assert record.code == 126
    assert record.stderr == f"cannot start {program}: Permission denied\n"


async def test_a_missing_working_directory_is_an_exit_with_a_sentence(bench: Bench) -> None:
    record = await ended(await bench.start(["true"], workdir=f"{bench.path}/nowhere"))
    assert record.code == 127
    assert record.stderr == f"cannot start in {bench.path}/nowhere: No such file or directory\n"


async def test_the_record_is_there_before_the_kernel_is(bench: Bench) -> None:
    process = await bench.python(
        f"tell(os.path.exists({str(bench.path / 'kid0' / 'kernel.json')!r})); tell(os.getpid())"
    )
    assert await bench.mailbox.line() == "True"
    assert process.record.pid == int(await bench.mailbox.line())
    assert process.record == launch.read_record(bench.path / "kid0")
    assert (process.record.kid, process.record.session) == ("kid0", "host.session")
    assert process.record.argv[0] == sys.executable
    assert (bench.path / "kid0" / "kernel.json").stat().st_mode & 0o777 == 0o600


async def test_the_kernel_gets_its_directory_its_environment_and_three_descriptors(bench: Bench) -> None:
    inheritable = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        process = await bench.python(
            "tell(os.getcwd()); tell(sorted(n for n in os.environ if n != 'LC_CTYPE'))\n"
            "tell([(fd, os.readlink(f'/proc/self/fd/{fd}').split(':')[0]) for fd in os.listdir('/proc/self/fd')"
            " if os.path.exists(f'/proc/self/fd/{fd}')])\n"
            "tell(os.getsid(0) == os.getpgrp() == os.getpid())\n"
        )
        assert await bench.mailbox.line() == str(bench.path)
        assert await bench.mailbox.line() == "['PATH', 'SECRET']"
        assert await bench.mailbox.line() == "[('0', '/dev/null'), ('1', 'pipe'), ('2', 'pipe')]"
        assert await bench.mailbox.line() == "True"
        await ended(process)
    finally:
        os.close(inheritable)


async def test_neither_secret_nor_environment_is_on_a_command_line_or_in_the_shim(bench: Bench) -> None:
    process = await bench.start(["sleep", "60"])
    shim = Path(f"/proc/{process.record.shim_pid}")
    assert b"s3cret" not in (shim / "cmdline").read_bytes() + (shim / "environ").read_bytes()
    assert "kid0" in (shim / "cmdline").read_text().split("\0")
    assert not any("s3cret" in path.read_text() for path in (bench.path / "kid0").iterdir())


async def test_signals_are_as_in_a_fresh_process(bench: Bench) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
    try:
        process = await bench.start(["cat", "/proc/self/status"])
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2, signal.SIGTERM})
        signal.signal(signal.SIGINT, before)
    status = dict(line.split(":\t", 1) for line in (await ended(process)).stderr.splitlines())
    of_the_c_library = 1 << 31 | 1 << 32  # 32 and 33, which no program can set
    assert {int(status[name], 16) & ~of_the_c_library for name in ("SigBlk", "SigIgn", "SigCgt")} == {0}


async def test_what_the_kernel_leaves_behind_is_killed_and_reaped(bench: Bench) -> None:
    process = await bench.python(
        "def sleeper(*steps):\n"
        "    if os.fork() == 0:\n"
        "        for step in steps: step()\n"
        "        tell(os.getpid()); time.sleep(600); os._exit(0)\n"
        "def orphan():\n"
        "    if os.fork(): os._exit(0)\n"
        "sleeper()\n"
        "sleeper(os.setsid)\n"
        "sleeper(os.setsid, orphan)\n"
        "sleeper(orphan, os.setsid, orphan)\n"
        "tell('made'); time.sleep(600)\n"
    )
    said = [await bench.mailbox.line() for _ in range(5)]
    pids = [int(words) for words in said if words != "made"]
    assert len(pids) == 4
    assert not any(is_gone(pid) for pid in pids)
    assert process.signal(signal.SIGUSR1)  # deadly to the group; those in sessions of their own do not get it
    record = await ended(process)
    assert record.signal == signal.SIGUSR1
    assert [pid for pid in pids if not is_gone(pid)] == []


async def test_orphans_are_reaped_while_the_kernel_runs(bench: Bench) -> None:
    process = await bench.python(
        "for _ in range(5):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: tell(os.getpid())\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "time.sleep(600)\n"
    )
    pids = [int(await bench.mailbox.line()) for _ in range(5)]
    async with asyncio.timeout(BOUND_S):
        while not all(is_gone(pid) for pid in pids):  # noqa: ASYNC110  reaping is no event that others can wait for
            await asyncio.sleep(0.005)
    assert process.alive


async def test_a_flood_grows_nothing_and_its_end_is_kept(bench: Bench) -> None:
    process = await bench.python(
        "for _ in range(512): os.write(2, b'x' * 65535 + b'\\n')\n"
        "os.write(2, b'\\xff' * 30000 + b'\\n' + b'\\xe2\\x82\\xac' * 2000 + b'\\nlast line\\n')\n"
        "tell('done'); time.sleep(600)\n"
    )
    assert await bench.mailbox.line() == "done"
    status = Path(f"/proc/{process.record.shim_pid}/status").read_text()
    peak_kib = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    assert peak_kib < 16 * 1024, "32 MiB went through it"
    record = await process.kill(5.0)
    assert record.stderr.endswith("€\nlast line\n")
    assert len(record.stderr.encode()) <= 16 * 1024


async def test_a_kernel_that_closes_its_output_does_not_make_the_shim_spin(bench: Bench) -> None:
    process = await bench.python(
        "os.close(1); os.close(2); tell('closed'); time.sleep(0.3); tell('later'); time.sleep(600)"
    )
    assert await bench.mailbox.line() == "closed"
    assert await bench.mailbox.line() == "later"
    fields = Path(f"/proc/{process.record.shim_pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[11]) + int(fields[12]) < 15, "ticks of 10 ms, user and system"
    assert process.alive


async def test_a_killed_shim_takes_the_kernel_with_it(bench: Bench) -> None:
    process = await bench.python(STUBBORN + "tell('up'); time.sleep(600)")
    assert await bench.mailbox.line() == "up"
    os.kill(process.record.shim_pid, signal.SIGKILL)
    assert await ended(process) == ExitRecord()
    assert not process.alive
    assert is_gone(process.record.shim_pid)


async def test_the_kernel_dies_with_its_shim_without_any_host(bench: Bench) -> None:
    process = await bench.python(STUBBORN + "tell('up'); time.sleep(600)")
    assert await bench.mailbox.line() == "up"
    record = process.record
    kernel_fd = pidfd.open_started(record.pid, record.start_time)
    assert kernel_fd is not None
    process.close()  # so that it is not we who end it
    try:
        os.kill(record.shim_pid, signal.SIGKILL)
        assert await asyncio.to_thread(pidfd.has_ended, kernel_fd, BOUND_S)
        assert (await asyncio.to_thread(os.waitpid, record.shim_pid, 0))[1] == signal.SIGKILL
    finally:
        os.close(kernel_fd)


async def test_sigterm_to_the_shim_ends_even_a_stubborn_kernel(bench: Bench) -> None:
    process = await bench.python(STUBBORN + "tell('up'); time.sleep(600)")
    assert await bench.mailbox.line() == "up"
    os.kill(process.record.shim_pid, signal.SIGTERM)
    assert (await ended(process)).signal == signal.SIGKILL
    assert is_gone(process.record.pid)


async def test_a_kernel_without_a_host_is_ended_after_the_grace(bench: Bench) -> None:
    assert bench.lock.acquire()
    process = await bench.python("tell('up'); time.sleep(600)", grace_s=0.3)
    assert await bench.mailbox.line() == "up"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):  # more than three times the grace
            await process.wait()
    assert process.alive
    bench.lock.release()
    assert (await ended(process)).signal == signal.SIGTERM


async def test_an_orphan_that_ignores_sigterm_is_killed(bench: Bench) -> None:
    process = await bench.python(STUBBORN + "tell('up'); time.sleep(600)", grace_s=0.5)
    assert await bench.mailbox.line() == "up"
    assert (await ended(process)).signal == signal.SIGKILL


async def test_a_signal_goes_to_the_whole_group_and_to_nobody_after_the_end(bench: Bench) -> None:
    process = await bench.python(
        "import signal\n"
        "name = 'child' if os.fork() == 0 else 'kernel'\n"
        "def handler(*_): tell(name + ' signalled')\n"
        "signal.signal(signal.SIGINT, handler)\n"
        "tell(name)\n"
        "while True: signal.pause()\n"
    )
    assert {await bench.mailbox.line(), await bench.mailbox.line()} == {"child", "kernel"}
    assert process.signal(signal.SIGINT)
    assert {await bench.mailbox.line(), await bench.mailbox.line()} == {"child signalled", "kernel signalled"}
    await process.kill(5.0)
    assert process.signal(0) is False


async def test_kill_helps_against_a_frozen_shim_too(bench: Bench) -> None:
    process = await bench.python(
        "pid = os.fork()\nif pid == 0: time.sleep(600)\ntell(pid); time.sleep(600)",
    )
    child = int(await bench.mailbox.line())
    child_fd = pidfd.open_pid(child)
    assert child_fd is not None
    try:
        os.kill(process.record.shim_pid, signal.SIGSTOP)
        assert await process.kill(0.1) == ExitRecord()
        assert await asyncio.to_thread(pidfd.has_ended, child_fd, BOUND_S), "a member of the kernel's group"
    finally:
        os.close(child_fd)
    assert not process.alive


async def test_any_number_may_wait_and_no_zombie_stays(bench: Bench) -> None:
    process = await bench.start(["sleep", "600"])
    waiters = [asyncio.create_task(process.wait()) for _ in range(3)]
    cancelled = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    cancelled.cancel()
    record = await process.kill(5.0)
    assert await asyncio.gather(*waiters) == [record] * 3
    assert await process.wait() == record
    assert bench.children() == []


async def test_close_is_idempotent_and_leaves_the_kernel_alone(bench: Bench) -> None:
    process = await bench.start(["sleep", "600"])
    waiter = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    process.close()
    process.close()
    with pytest.raises(RuntimeError, match="closed"):
        await waiter
    assert process.signal(0) is False
    assert process.alive is False
    again = await launch.attach(bench.path / "kid0")
    assert again is not None
    assert again.alive
    assert (await again.kill(5.0)).signal == signal.SIGKILL
    again.close()


@pytest.fixture
def open_files() -> Iterator[None]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_start_that_cannot_be_recorded_fails_and_leaves_nothing(bench: Bench, open_files: None) -> None:
    asked = bench.launch(["sleep", "600"])
    (bench.path / "kid0").rmdir()
    with pytest.raises(LaunchFailed, match="No such file or directory"):
        await launch.start(asked)
    assert bench.children() == []


async def test_a_machine_without_processes_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "posix_spawn", refuse)
    with pytest.raises(LaunchFailed, match="no process can be started: Resource temporarily unavailable"):
        await bench.start(["true"])


async def test_a_start_that_nobody_waits_for_leaves_nothing(bench: Bench, open_files: None) -> None:
    starting = asyncio.create_task(launch.start(bench.launch(["sleep", "600"])))
    await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert bench.children() == []


async def test_a_shim_that_does_not_report_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = bench.path / "silent.py"
    silent.write_text("import time; time.sleep(600)")
    monkeypatch.setattr(launch, "_shim_program", lambda: str(silent))
    monkeypatch.setattr(launch, "READY_S", 0.1)
    with pytest.raises(LaunchFailed, match="not ready in time"):
        await bench.start(["true"])
    assert bench.children() == []


async def test_a_kernel_outlives_its_host_and_a_new_host_can_end_it(bench: Bench) -> None:
    asked = bench.launch(["sleep", "600"])
    script = (
        "import asyncio, os, sys, msgspec\n"
        "from kernel_bridge.launch import KernelLaunch, start\n"
        "async def main():\n"
        "    await start(msgspec.json.decode(sys.stdin.read(), type=KernelLaunch))\n"
        "    os._exit(0)\n"
        "asyncio.run(main())\n"
    )
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script],
        input=msgspec.json.encode(asked),
        cwd=Path(launch.__file__).parent.parent,
        check=True,
        timeout=BOUND_S,
    )
    record = launch.read_record(bench.path / "kid0")
    assert record is not None
    kernel_fd = pidfd.open_started(record.pid, record.start_time)
    assert kernel_fd is not None
    try:
        assert not pidfd.has_ended(kernel_fd)
        ended_by_us = await launch.end_leftover(bench.path / "kid0")
        assert ended_by_us is not None
        assert ended_by_us.signal == signal.SIGKILL
        assert pidfd.has_ended(kernel_fd)
    finally:
        os.close(kernel_fd)
    assert launch.read_exit(bench.path / "kid0") == ended_by_us
    assert await launch.end_leftover(bench.path / "kid0") is None


async def test_a_number_that_another_process_got_is_left_alone(bench: Bench) -> None:
    stranger = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        record = launch.KernelRecord("kid0", "s", stranger.pid, 1, stranger.pid, [])
        (bench.path / "kernel.json").write_bytes(msgspec.json.encode(record))
        assert await launch.end_leftover(bench.path) is None
        assert stranger.returncode is None
    finally:
        stranger.kill()
        assert await stranger.wait() == -signal.SIGKILL, "nobody else ended it"


async def test_arguments_that_are_not_utf_8_reach_the_kernel(bench: Bench) -> None:
    process = await bench.start(["printf", "%s", os.fsdecode(b"\xff-ok")])
    assert (await ended(process)).stderr == "\ufffd-ok"
    assert process.record.argv == ["printf", "%s", "\ufffd-ok"]
