"""`kernelwire serve`: a host and fronts on one listening socket, kept running; it ends all that it started."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path

from auth.first_password import Bootstrapped
from kernel_bridge import leftovers
from kernel_bridge.host_file import HOST_LOCK, SERVE_LOCK
from kernel_bridge.host_lock import HostLock
from kernelwire import (
    __version__,
    handed_certificate,
    handed_settings,
    left_kernels,
    ownership,
    serve_file,
    terminal,
)
from kernelwire.child import Child, ChildFailed
from kernelwire.credentials import step_down
from kernelwire.errors import CannotServe, Failed
from kernelwire.first_start import greet
from kernelwire.found_host import host_sandbox, is_held
from kernelwire.handed_certificate import HandedCertificate
from kernelwire.host_source import HostSource
from kernelwire.keeper import Keeper, Kept
from kernelwire.left_kernels import run_as_arguments
from kernelwire.listener import url_of
from kernelwire.serve_file import ServeFile
from kernelwire.service_user import ServiceUser
from kernelwire.set_up import set_up
from kernelwire.settings import Settings

HOST_STOP_S = 30.0
FRONT_STOP_MARGIN_S = 5.0
FORCED_S = 5.0
"""what a host is given to kill its kernels at the second signal"""

log = logging.getLogger("kernelwire.supervisor")


class Supervisor:
    """One run of `serve`. `run` returns after everything that it started has ended."""

    def __init__(
        self,
        listener: socket.socket,
        state_dir: Path,
        settings: Settings,
        user: ServiceUser | None = None,
        *,
        insecure_shared_uid: bool = False,
    ) -> None:
        """`user`: whom all but this process become, which then acts as that user; the state directory is the user's.

        `insecure_shared_uid`: serve even if nothing keeps several users' kernels apart.
        """
        serve = settings.serve
        self._listener = listener
        self._state_dir = state_dir
        self._settings = settings
        self._insecure_shared_uid = insecure_shared_uid
        self._user = user or ServiceUser()
        self._stepped_down = self._user.identity is not None
        self._env = self._user.environment(state_dir)
        self._certificate: HandedCertificate | None = None
        self._settings_fd = -1
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._host = Keeper("host", HostSource(state_dir, self._launch_host).obtain, serve.host_silence_s)
        names = [f"front-{number}" for number in range(1, serve.workers + 1)]
        self._fronts = [Keeper(name, partial(self._launch_front, name), serve.front_silence_s) for name in names]

    async def run(self) -> None:
        """Raises Failed, OSError."""
        with contextlib.ExitStack() as closing:
            handed = self._settings
            if self._user.identity is not None:
                step_down(self._user.identity)
                self._certificate = handed_certificate.of_settings(self._settings.serve)
                if self._certificate is not None:
                    closing.callback(self._certificate.close)
                    handed = handed_certificate.settings_with(handed, self._certificate)
            self._settings_fd = handed_settings.hand_on(handed)
            closing.callback(os.close, self._settings_fd)
            shared = ["--insecure-shared-uid"] if self._insecure_shared_uid else []
            found = await set_up(
                self._state_dir,
                self._settings_fd,
                *shared,
                *run_as_arguments(self._user.identity),
                env=self._env,
                as_root=self._stepped_down,
            )
            ownership.make_home(self._state_dir, self._user)
            await self._run_alone(found)

    async def _run_alone(self, found: Bootstrapped) -> None:
        lock = HostLock(self._state_dir / SERVE_LOCK)
        if not lock.acquire():
            raise CannotServe(f"another `kernelwire serve` uses {self._state_dir}: choose another --state-dir")
        try:
            serve_file.remove(self._state_dir)  # of one that was killed
            self._take_signals()
            await self._run(found)
        finally:
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
            url = url_of(self._listener, "https" if self._settings.serve.tls_cert else "http")
            serve_file.write(self._state_dir, self._serve_file(url))
            _say(f"kernelwire {__version__} on {url}")
            _say(f"Sandbox of kernels: {host_sandbox(self._state_dir) or 'unknown, the host is of an older version'}")
            self._user.tell()
            if self._user.as_root:
                _say(f"Runs as root: {self._user.as_root}")
            greet(found, url, self._state_dir, _say, terminal=sys.stdout.isatty())
            await self._keep_running()
        finally:
            await self._end()

    def _serve_file(self, url: str) -> ServeFile:
        certificate = self._settings.serve.tls_cert
        return ServeFile(
            url, os.getpid(), __version__, certificate=str(Path(certificate).expanduser()) if certificate else ""
        )

    async def _start(self) -> None:
        """Return when all serve. Raises ChildFailed, OSError."""
        try:
            await self._host.start()
        except ChildFailed:
            if not is_held(self._state_dir):
                raise
            await self._host.start()  # another host was quicker than ours
        for outcome in await asyncio.gather(*(front.start() for front in self._fronts), return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _launch_host(self) -> Child:
        return await self._launch("host", ["_host"])

    async def _launch_front(self, name: str) -> Kept:
        descriptor = self._listener.fileno()
        files = [self._certificate.descriptor] if self._certificate is not None else []
        arguments = ["_front", "--name", name, "--listen-fd", str(descriptor)]
        front = await self._launch(name, arguments, descriptor, *files)
        return Kept(front, front.line)

    async def _launch(self, name: str, arguments: list[str], *descriptors: int) -> Child:
        given = ["--state-dir", str(self._state_dir), "--settings-fd", str(self._settings_fd)]
        return await Child.start(
            name,
            [*arguments, *given, *run_as_arguments(self._user.identity)],
            pass_fds=[self._settings_fd, *descriptors],
            env=self._env,
            as_root=self._stepped_down,
        )

    async def _keep_running(self) -> None:
        """Start again whatever ends, until a signal comes."""
        async with asyncio.TaskGroup() as tasks:
            keepers = [tasks.create_task(keeper.keep()) for keeper in (self._host, *self._fronts)]
            await self._stop.wait()
            for keeper in keepers:
                keeper.cancel()

    async def _end(self) -> None:
        """Fronts first, so that nobody calls a host that ends; a second signal forces both."""
        serve_file.remove(self._state_dir)
        forced = asyncio.create_task(self._force.wait())
        ending = asyncio.create_task(self._end_politely())
        await asyncio.wait({forced, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            for front in self._fronts:
                front.force(signal.SIGKILL)
            # it kills its kernels at the second signal; its own SIGKILL, if it does not heed that, leaves them to us
            self._host.force(signal.SIGTERM, signal.SIGINT)
            await asyncio.wait({ending}, timeout=FORCED_S)
            self._host.force(signal.SIGKILL)
        forced.cancel()
        await ending
        self._listener.close()

    async def _end_politely(self) -> None:
        grace_s = 2 * self._settings.rpc.drain_s + FRONT_STOP_MARGIN_S
        await asyncio.gather(*(front.end(grace_s) for front in self._fronts))
        if not await self._host.end(HOST_STOP_S):
            return
        lock = HostLock(self._state_dir / HOST_LOCK)
        if lock.acquire():  # else another host has taken over, kernels included
            try:
                await self._end_left_kernels()
            finally:
                lock.release()

    async def _end_left_kernels(self) -> None:
        """By a process that may signal them: this one may not where it stepped down."""
        if not self._stepped_down:
            await leftovers.end(self._state_dir, self._settings.bridge.limits.cgroup)
            return
        try:
            await left_kernels.end(
                self._state_dir,
                self._settings_fd,
                self._user.identity,
                env=self._env,
                as_root=self._stepped_down,
            )
        except Failed as error:
            log.error("kernels_left reason=%s", error)  # noqa: TRY400  the reason is enough

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup, terminal.is_there())

    def _on_hangup(self, had_terminal: bool) -> None:
        """The terminal is gone, so that this is its end too; or somebody asks to read the certificate anew."""
        if had_terminal and not terminal.is_there():
            self._on_signal()
            return
        if self._certificate is not None:
            try:
                self._certificate.read()
            except CannotServe as error:
                log.error("certificate_kept reason=%s", error)  # noqa: TRY400  the reason is enough
                return
        for front in self._fronts:
            front.force(signal.SIGHUP)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._force.set()
        self._stop.set()


def _say(line: str) -> None:
    """Print a line. When nobody reads it, as the terminal was hung up, the service goes on as if it had been read."""
    try:
        print(line, flush=True)  # noqa: T201  this is the program's output
    except OSError as error:
        log.warning("output_unread error=%s", error)
        nowhere = os.open(os.devnull, os.O_WRONLY)  # else what is in the buffer fails again at exit
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
