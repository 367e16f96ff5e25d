"""A host in a process of its own, with the hop to it: what the tests of dead hosts kill and start again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from kernel_bridge import hop, leftovers, runtime_dir
from kernel_bridge.client import HostClient
from kernel_bridge.kernel_record import KernelRecord, read_record
from tests.e2e import processes
from tests.e2e.processes import Process
from tests.kernel.house import Calls

R = TypeVar("R")
START_S = 30.0
STOP_S = 40.0
ANSWER_S = 60.0
_NOT_INHERITED = ("KERNELWIRE_", "PYTEST_")


class RealHost(Calls):
    """One state directory, and the host that holds it now. Made by `real_host`."""

    def __init__(self, state_dir: Path, settings: Mapping[str, float | str]) -> None:
        self.state_dir = state_dir
        self.log = state_dir.parent / "host.log"
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._client: HostClient | None = None
        self._running: asyncio.Task[None] | None = None

    async def begin(self, *program: str) -> None:
        """Start a host, and do not wait for it. `program`: what is run in place of kernelwire."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        env |= {f"KERNELWIRE_BRIDGE__{name.upper()}": str(value) for name, value in self._settings.items()}
        if os.geteuid() == 0:
            env["KERNELWIRE_SERVE__USER"] = "root"  # as whom the test asks it
        self.state_dir.mkdir(mode=0o700, exist_ok=True)
        program = program or (sys.executable, "-P", "-m", "kernelwire")
        command = [*program, "host", "--state-dir", str(self.state_dir)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=env)

    async def start(self, *program: str) -> None:
        """Start a host; returns when it answers."""
        await self.begin(*program)
        self._client = HostClient(self.state_dir, "test")
        self._running = asyncio.create_task(self._client.run())
        assert await self._client.wait_ready(START_S), self.log.read_text()

    async def ask(self, request: hop.Request[R]) -> R:
        assert self._client is not None
        return (await self._client.call(request, timeout_s=ANSWER_S)).decode()

    async def die(self, *, frozen_s: float = 0.0) -> None:
        """kill -9, after a while as SIGSTOP leaves it."""
        assert self._process is not None
        if frozen_s:
            self._process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(frozen_s)
        self._process.kill()
        await self._process.wait()
        await self._hang_up()

    async def replace(self) -> None:
        """Another host after one that was killed."""
        await self.die()
        await self.start()

    async def fell(self, within_s: float) -> None:
        """Return when it has died of its own SIGKILL."""
        assert self._process is not None
        async with asyncio.timeout(within_s):
            assert await self._process.wait() == -signal.SIGKILL
        await self._hang_up()

    async def stop(self) -> None:
        """A clean stop, after which nothing is left."""
        assert self._process is not None
        sockets = runtime_dir.find(self.state_dir)
        processes_before = processes.of_state_dir(self.state_dir)
        self._process.terminate()
        async with asyncio.timeout(STOP_S):
            assert await self._process.wait() == 0, self.log.read_text()
        await self._hang_up()
        left = [process for process in processes_before if process.alive()]
        assert not left, f"still running: {left}"
        assert not sockets.exists()
        assert not list(self.state_dir.glob("kernels/*"))
        assert not (self.state_dir / "host.json").exists()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()

    async def abandon(self) -> None:
        """Leave nothing behind, whatever the test came to."""
        await self._hang_up()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        for process in processes.of_state_dir(self.state_dir):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
        leftovers.forget_host(self.state_dir, "auto")

    def kernel(self) -> Process:
        """The one kernel that there is a record of."""
        found = processes.read(self.kernel_record().pid)
        assert found is not None
        return found

    def kernel_of(self, session: str) -> Process:
        found = processes.read(self.record(session).pid)
        assert found is not None
        return found

    def record(self, session: str) -> KernelRecord:
        """kernel.json of the session's kernel."""
        records = [read_record(path) for path in (self.state_dir / "kernels").iterdir()]
        (found,) = [record for record in records if record is not None and record.session == session]
        return found

    def kernel_record(self) -> KernelRecord:
        (directory,) = (self.state_dir / "kernels").iterdir()
        record = read_record(directory)
        assert record is not None
        return record

    async def _hang_up(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._running = None


@asynccontextmanager
async def real_host(root: Path, **settings: float | str) -> AsyncGenerator[RealHost]:
    """A running host for the block; stopped cleanly after it."""
    short = {"interrupt_again_s": 1.0, "interrupt_kill_s": 1.0, "idle_grace_s": 2.0, "pool": 0}
    made = RealHost(root / "state", {**short, **settings})
    try:
        await made.start()
        yield made
        await made.stop()
    finally:
        await made.abandon()
