"""`kernelwire serve`: binds the port, starts a host and a front, keeps them running, and ends all that it started."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from auth.bootstrap import Bootstrapped, bootstrap
from kernel_bridge import leftovers
from kernel_bridge.host import HOST_LOCK, SERVE_LOCK
from kernel_bridge.host_lock import HostLock
from kernelwire import __version__, handed_settings, serve_file
from kernelwire.child import Child, ChildFailed, Running, end
from kernelwire.errors import CannotServe
from kernelwire.first_start import greet
from kernelwire.found_host import FoundHost
from kernelwire.serve_file import ServeFile
from kernelwire.settings import Settings

READY_S = 45.0
HOST_STOP_S = 30.0
FRONT_STOP_MARGIN_S = 5.0
FOREIGN_HOST_S = 1.0
RESTART_S = 0.2
RESTART_MAX_S = 5.0

log = logging.getLogger("kernelwire.supervisor")


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, on loopback only. Raises CannotServe."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise CannotServe(f"--host {host}: expected an IP address, such as 127.0.0.1 or ::1") from None
    if not ip.is_loopback:
        raise CannotServe(
            f"--host {host}: only loopback addresses (127.0.0.1, ::1) are served: tokens and code would cross the "
            "network in clear text. Reach it from elsewhere through ssh -L."
        )
    listener = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        hint = "choose another one with --port (0: any free one)"
        raise CannotServe(f"port {port} of {host}: {error}; {hint}") from None
    return listener


class Supervisor:
    """One run of `serve`. `run` returns after everything that it started has ended."""

    def __init__(self, listener: socket.socket, state_dir: Path, settings: Settings) -> None:
        self._listener = listener
        self._state_dir = state_dir
        self._settings = settings
        self._settings_fd = -1
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._running: dict[str, Running] = {}

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self) -> None:
        """Raises CannotServe, AuthError."""
        lock = HostLock(self._state_dir / SERVE_LOCK)
        found = await asyncio.to_thread(bootstrap, self._state_dir, self._settings.auth)
        if not lock.acquire():
            raise CannotServe(f"another `kernelwire serve` uses {self._state_dir}: choose another --state-dir")
        try:
            serve_file.remove(self._state_dir)  # of one that was killed
            self._settings_fd = handed_settings.hand_on(self._settings)
            self._take_signals()
            await self._run(found)
        finally:
            if self._settings_fd >= 0:
                os.close(self._settings_fd)
            lock.release()

    async def _run(self, found: Bootstrapped) -> None:
        try:
            starting = asyncio.create_task(self._start())
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError, ChildFailed):
                    await starting
                return
            stopping.cancel()
            try:
                starting.result()
            except ChildFailed as error:
                raise CannotServe(str(error)) from None
            serve_file.write(self._state_dir, ServeFile(self.url, os.getpid(), __version__))
            _say(f"kernelwire {__version__} on {self.url}")
            greet(found, self.url, self._state_dir, _say, terminal=sys.stdout.isatty())
            await self._keep_running()
        finally:
            await self._end()

    async def _start(self) -> None:
        found = FoundHost.find(self._state_dir)
        if found is not None:
            self._running["host"] = found
        elif not HostLock(self._state_dir / HOST_LOCK).held_by_other():
            await self._start_host()
        await self._start_front()

    async def _start_host(self) -> None:
        await self._launch("host", ["_host"])

    async def _start_front(self) -> None:
        descriptor = self._listener.fileno()
        await self._launch("front", ["_front", "--listen-fd", str(descriptor)], descriptor)

    async def _launch(self, name: str, arguments: list[str], *descriptors: int) -> None:
        given = ["--state-dir", str(self._state_dir), "--settings-fd", str(self._settings_fd)]
        child = await Child.start(name, [*arguments, *given], pass_fds=[self._settings_fd, *descriptors])
        self._running[name] = child
        await child.ready(READY_S)

    async def _keep_running(self) -> None:
        """Start again whatever ends, until a signal comes."""
        async with asyncio.TaskGroup() as tasks:
            keepers = [
                tasks.create_task(self._keep("front", self._start_front)),
                tasks.create_task(self._keep_host()),
            ]
            await self._stop.wait()
            for keeper in keepers:
                keeper.cancel()

    async def _keep_host(self) -> None:
        """Keep ours running; a host that stands alone, or of a `serve` that was killed, is followed by one of ours."""
        lock = HostLock(self._state_dir / HOST_LOCK)
        while "host" not in self._running:
            await asyncio.sleep(FOREIGN_HOST_S)
            if not lock.held_by_other():
                with contextlib.suppress(ChildFailed):  # it is in `_running` then, and tried again there
                    await self._start_host()
        await self._keep("host", self._start_host)

    async def _keep(self, name: str, start: Callable[[], Awaitable[None]]) -> None:
        pause = RESTART_S
        while True:
            running = self._running[name]
            code = await running.wait()
            running.close()
            log.warning("child_ended name=%s code=%s", name, code)
            await asyncio.sleep(pause)
            try:
                await start()
                pause = RESTART_S
            except (ChildFailed, OSError) as error:
                log.error("child_not_started name=%s reason=%s", name, error)  # noqa: TRY400  the reason is enough
                await end(self._running[name], 1.0)
                pause = min(2 * pause, RESTART_MAX_S)

    async def _end(self) -> None:
        """Fronts first, so that nobody calls a host that ends; a second signal forces both."""
        serve_file.remove(self._state_dir)
        forced = asyncio.create_task(self._force.wait())
        ending = asyncio.create_task(self._end_politely())
        await asyncio.wait({forced, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            await self._end_by_force()
        forced.cancel()
        await ending
        self._listener.close()

    async def _end_politely(self) -> None:
        front, host = self._running.get("front"), self._running.get("host")
        if front is not None:
            await end(front, 2 * self._settings.rpc.drain_s + FRONT_STOP_MARGIN_S)
        if host is not None:
            await end(host, HOST_STOP_S)
            await leftovers.end(self._state_dir / "kernels")

    async def _end_by_force(self) -> None:
        front, host = self._running.get("front"), self._running.get("host")
        if front is not None:
            front.signal(signal.SIGKILL)
        if host is not None:  # it kills its kernels at the second signal; its own SIGKILL would leave them behind
            host.signal(signal.SIGTERM)
            host.signal(signal.SIGINT)

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._force.set()
        self._stop.set()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  this is the program's output
