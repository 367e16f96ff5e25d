"""The host process: one per state directory; it owns kernels, queues and logs."""

import asyncio
import contextlib
import logging
import os
import resource
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import zmq

from kernel_bridge import adoption, hop, host_id, leftovers, limits, pidfd, privileges, runtime_dir, session_users, shim
from kernel_bridge.cgroup_places import NoCgroups
from kernel_bridge.cgroups import Cgroups, open_cgroups
from kernel_bridge.errors import KernelspecNotFound
from kernel_bridge.files import write_on_full_disk
from kernel_bridge.hop_secret import make_secret
from kernel_bridge.hop_server import HopServer
from kernel_bridge.host_file import HOST_FILE, HOST_LOCK, SERVE_LOCK, HostFile
from kernel_bridge.host_lock import HostLock
from kernel_bridge.kernel_factory import KernelFactory, Place
from kernel_bridge.kernelspecs import Kernelspecs
from kernel_bridge.runtime_dir import HOST_SOCKET
from kernel_bridge.sandbox import sandboxes
from kernel_bridge.service import Service
from kernel_bridge.session_users import SessionUsers
from kernel_bridge.sessions import Sessions
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.tracing import Tracer

WATCH_S = 2.0
STOP_S = 20.0
"""bound of a clean stop; after it, or at the second signal, kernels are killed"""

log = logging.getLogger("kernelwire.bridge.host")


class HostRunning(Exception):
    """Another host holds the state directory."""


class Host:
    """One run of the host. `run` returns after a clean stop."""

    def __init__(
        self, state_dir: Path, settings: BridgeSettings, version: str, *, owned: bool, tracer: Tracer | None = None
    ) -> None:
        """`tracer`: follows the calls that fronts trace; whoever made it closes it."""
        self._state_dir = state_dir
        self._settings = settings
        self._version = version
        self._owned = owned
        self._tracer = tracer
        self._notes: list[str] = []
        """what is not as the settings say, for /readyz"""
        self._stop = asyncio.Event()
        self._force = asyncio.Event()

    async def run(self, announce: Callable[[], None]) -> None:
        """Hold the state directory and serve, until a signal or until an owned host has long been without its owner.

        `announce` is called when fronts can connect. Raises HostRunning, OSError.
        """
        lock = HostLock(self._state_dir / HOST_LOCK)
        if not lock.acquire():
            raise HostRunning(f"another host holds {self._state_dir}")
        try:
            await self._with_lock(announce)
        finally:
            lock.release()

    async def _with_lock(self, announce: Callable[[], None]) -> None:
        _raise_limits()
        self._take_signals()
        crashed = (self._state_dir / HOST_FILE).exists()
        shim.prctl(shim.PR_SET_DUMPABLE, 0)  # all keys are in our memory
        sandbox = await asyncio.to_thread(sandboxes.describe, self._settings.sandbox)
        file = HostFile(
            os.getpid(), self._version, self._owned, start_time=pidfd.start_time(os.getpid()) or 0, sandbox=sandbox
        )
        write_on_full_disk(self._state_dir / HOST_FILE, msgspec.json.encode(file))
        sockets, users = await self._open_users()
        place = Place(
            kernels=self._state_dir / "kernels",
            workdirs=self._state_dir / "workdirs",
            sockets=sockets,
            host_lock=self._state_dir / HOST_LOCK,
        )
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))
        try:
            specs = Kernelspecs()
            own_id = host_id.take(self._state_dir)
            cgroups = await self._open_cgroups(own_id, own_users=users is not None)
            factory = KernelFactory(context, place, specs, self._settings, cgroups, users)
            sessions = Sessions(self._state_dir / "sessions", own_id, specs, factory, self._settings)
            sessions.load()
            survey = await adoption.survey(place.kernels, sockets, sessions.records, specs)
            if cgroups is not None:
                cgroups.sweep(
                    [path.name for path in survey.leftovers] + [one.directory.name for one in survey.found.values()]
                )
            factory.leftovers.end(survey.leftovers)
            owned = {record.workdir for record in sessions.records.values()}
            unowned = [place.workdirs / path.name for path in survey.waiting if path.name not in owned]
            factory.leftovers.end(survey.waiting, workdirs=unowned)
            if crashed or survey.found:
                sessions.expect_recovery(survey.found)
            preparing = asyncio.create_task(self._prepare_fork(factory), name="fork-server-first")
            try:
                whole = await self._serve(sessions, cgroups, context, sockets, sandbox, announce)
            finally:
                preparing.cancel()
                await factory.leftovers.close()
                if factory.forks is not None:
                    await factory.forks.close()
                if cgroups is not None:
                    cgroups.close()
        finally:
            context.destroy(linger=0)  # unlike term() it waits for no socket that a fault left open
            if not leftovers.exist(place.kernels):  # a kernel that lives on has its sockets there
                runtime_dir.remove(sockets)
        if whole:
            (self._state_dir / HOST_FILE).unlink(missing_ok=True)

    async def _open_users(self) -> tuple[Path, SessionUsers | None]:
        """The directory of sockets, and the users that sessions get, where they can have such. Why not is said in the
        log, and by /readyz if there is something to mend. Raises OSError."""
        asked = self._settings.limits, self._settings.sandbox
        users, why = await asyncio.to_thread(session_users.open_users, self._state_dir, *asked)
        sockets = runtime_dir.create(self._state_dir, passable=users is not None)
        closed = privileges.obstacle(sockets.parent, 0o001) if users is not None else None
        if closed is not None:  # that of a host before, with kernels in it
            users, why = None, closed
        if users is not None:
            try:
                session_users.open_way(self._state_dir, sockets)
            except OSError as error:
                users, why = None, f"no way to what would be theirs: {error}"
        if users is None and self._settings.limits.uid_base is not None and privileges.has():
            self._notes.append(f"sessions have no users of their own: {why}")
        log.info("session_users own=%s reason=%s", users is not None, why or "found")
        return sockets, users

    async def _open_cgroups(self, own_id: str, *, own_users: bool) -> Cgroups | None:
        """Where there can be cgroups; what that costs the limits is said in the log and by /readyz."""
        asked = self._settings.limits
        owner = os.getppid() if self._owned else os.getpid()
        try:
            cgroups, why = await asyncio.to_thread(open_cgroups, asked.cgroup, own_id, owner), ""
        except NoCgroups as error:
            cgroups, why = None, str(error)
        by_cgroup = cgroups.controllers if cgroups is not None else frozenset[str]()
        counts_processes = own_users and session_users.are_for_all(self._settings.sandbox)
        if not counts_processes:
            counts_processes = await asyncio.to_thread(sandboxes.count_processes, self._settings.sandbox)
        short = limits.shortfalls(asked, by_cgroup=by_cgroup, counts_processes=counts_processes)
        self._notes += short
        log.info("limits cgroup=%s reason=%s", ",".join(sorted(by_cgroup)) or "none", why or "found")
        for note in short:
            log.warning("limit_not_as_set %s", note)
        return cgroups

    async def _prepare_fork(self, factory: KernelFactory) -> None:
        if self._settings.fork_server_at_start:
            try:
                await factory.prepare_fork()
            except (KernelspecNotFound, TimeoutError) as error:
                log.warning("fork_server_not_started reason=%s", error)

    async def _serve(
        self,
        sessions: Sessions,
        cgroups: Cgroups | None,
        context: "zmq.Context[zmq.Socket[bytes]]",
        sockets: Path,
        sandbox: str,
        announce: Callable[[], None],
    ) -> bool:
        """False if a next host has something to recover."""
        welcome = hop.Welcome(
            hop.PROTO, self._version, host_id.take(self._state_dir), secrets.token_hex(8), sandbox, self._notes
        )
        service = Service(sessions, self._version)
        server = HopServer(context, sockets / HOST_SOCKET, make_secret(self._state_dir), welcome, service, self._tracer)
        recovering = asyncio.create_task(sessions.recover(), name="recovery")  # its first step is before any call
        try:
            log.info("host_ready sessions=%d sandbox=%s", sessions.count, sandbox)
            announce()
            await self._until_stopped(server, sessions, cgroups)
        finally:
            recovering.cancel()
            server.refuse_calls()
            log.info("host_stopping")
            try:
                whole = await self._end(sessions)
            finally:
                await server.close()
        log.info("host_stopped")
        return whole

    async def _until_stopped(self, server: HopServer, sessions: Sessions, cgroups: Cgroups | None) -> None:
        """Return at a signal, or when nobody has owned this host for `orphan_grace_s`."""
        loop = asyncio.get_running_loop()
        owner = HostLock(self._state_dir / SERVE_LOCK)
        owned_at = loop.time()
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._stop.wait()
            server.forget_silent()
            sessions.tend()
            if cgroups is not None:
                cgroups.tend()
            if not self._owned or _is_held(owner):
                owned_at = loop.time()
            elif loop.time() - owned_at > self._settings.orphan_grace_s:
                log.warning("host_unowned grace_s=%g", self._settings.orphan_grace_s)
                return

    async def _end(self, sessions: Sessions) -> bool:
        """Stop politely; at a second signal, or after STOP_S, kill. Returns what Sessions.stop does."""
        ending = asyncio.create_task(sessions.stop())
        forced = asyncio.create_task(self._force.wait())
        await asyncio.wait({ending, forced}, timeout=STOP_S, return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if not ending.done():
            log.warning("host_stop_forced")
            await sessions.kill()
        return await ending

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._force.set()
        self._stop.set()


def _is_held(lock: HostLock) -> bool:
    try:
        return lock.held_by_other()
    except OSError as error:  # no descriptor left to ask with: that is no reason to end
        log.warning("lock_not_asked error=%s", error)
        return True


def _raise_limits() -> None:
    """A kernel costs about ten descriptors here: take as many as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
