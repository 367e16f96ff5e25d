"""The fork servers of one host: one a plan, started when first needed, replaced when dead, used up or out of date."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from msgspec import Struct

from kernel_bridge.forkserver.client import ForkServer, ForkServerFailed, PreloadRefused
from kernel_bridge.forkserver.plan import Plan, interpreter_words, plan_for
from kernel_bridge.launch import KernelLaunch

SUSPECTS = 100
"""sessions whose last forked kernel did not become ready; more are forgotten"""
SERVERS = 8
"""as many are kept, those used last: each holds the memory of its imports"""
FORKS = 500
"""after so many kernels a server is replaced: they all share its layout of memory and its seed of hashes"""
RETRY_S = (1.0, 10.0, 60.0, 600.0)
"""a server that fails is started again after these times, one after the other"""
DISTRUST_S = 600.0
"""no server for launches that failed when forked and went well without"""

log = logging.getLogger("kernelwire.bridge.forkserver")


class ServerStatus(Struct, frozen=True):
    """One plan and what became of it."""

    preload: tuple[str, ...]
    pid: int | None
    """of its server, if one runs"""
    forks: int
    """kernels of that server"""
    left_out: dict[str, str]
    """modules that are not imported, and why"""
    fault: str
    """why there is no server; empty if there is one"""


@dataclass(slots=True, eq=False)
class _Place:
    """A plan's server, the one that is to replace it, and how that went so far."""

    plan: Plan
    server: ForkServer | None = None
    starting: "asyncio.Task[None] | None" = None
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    failures: int = 0
    retry_at: float = 0.0
    used_at: float = 0.0
    fault: str = ""

    def status(self) -> ServerStatus:
        server = self.server
        if server is None:
            return ServerStatus(self.plan.preload, None, 0, dict(self.left_out), self.fault)
        return ServerStatus(self.plan.preload, server.pid, server.forks, self.left_out | server.left_out, "")


class ForkServers:
    """Made in a running event loop; `close` ends all servers, kernels live on.

    `fork` never waits for a server to start: whoever finds none launches without.
    """

    def __init__(self, *, forks_per_server: int = FORKS, retry_s: tuple[float, ...] = RETRY_S) -> None:
        self._forks_per_server = forks_per_server
        self._retry_s = retry_s
        self._places: dict[Plan, _Place] = {}
        self._suspects: dict[str | Plan | None, Plan | None] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def fork(self, launch: KernelLaunch, spec: int, stream: int) -> int:
        """The pidfd of a shim for `launch`, see ForkServer.fork. Raises ForkServerFailed: nothing was started."""
        place = self._place(launch)
        words = interpreter_words(launch.argv)
        if place is None or words is None:
            raise ForkServerFailed("no fork server can run this command")
        place.used_at = time.monotonic()
        self._start(place)
        if _whose(launch) in self._suspects:
            raise ForkServerFailed("the session's last forked kernel did not become ready")
        if place.server is None:
            raise ForkServerFailed("its fork server is not ready")
        server = place.server
        if not server.up_to_date:
            self._start(place, replace=True)
            raise ForkServerFailed("packages were installed or removed since its fork server imported its own")
        try:
            shim_fd = await server.fork(launch.kid, words, spec, stream)
        except ForkServerFailed as error:
            self._fail(place, server, str(error))
            raise
        place.failures = 0
        if server.forks >= self._forks_per_server:
            self._start(place, replace=True)
        return shim_fd

    def prepare(self, launch: KernelLaunch) -> None:
        """Start the server for launches like this one, if it does not run."""
        place = self._place(launch)
        if place is not None:
            self._start(place)

    def serving(self, launch: KernelLaunch) -> ForkServer | None:
        """The server that is ready for such launches. One that is out of date is none, and is replaced from now on."""
        plan = plan_for(launch)
        place = self._places.get(plan) if plan is not None and launch.profile == "fork" else None
        if place is None or place.server is None:
            return None
        if not place.server.up_to_date:
            self._start(place, replace=True)
            return None
        return place.server

    async def settled(self) -> list[ServerStatus]:
        """The servers that there are, when none is starting any more."""
        while starting := [place.starting for place in self._places.values() if place.starting is not None]:
            await asyncio.wait(starting)
            await asyncio.sleep(0)  # for what follows their end
        return [place.status() for place in self._places.values()]

    def judge(self, launch: KernelLaunch, *, forked: bool, ready: bool) -> None:
        """Hear how a start went. A session whose forked kernel did not become ready gets its next one without a fork
        server; only if that one does better the server is to blame, and such launches get none for DISTRUST_S. One
        that was ended is not: what it was just forking ends with it.
        """
        if forked and not ready:
            plan = plan_for(launch)
            if plan is not None:
                place = self._places.get(plan)
                lives = place is not None and place.server is not None and place.server.alive
                self._suspects[_whose(launch)] = plan if lives else None
            while len(self._suspects) > SUSPECTS:
                del self._suspects[next(iter(self._suspects))]
        elif not forked:
            plan = self._suspects.pop(_whose(launch), None)
            place = self._places.get(plan) if plan is not None and ready else None
            if place is not None:
                self._fail(place, place.server, "a kernel started well only without it", DISTRUST_S)

    async def close(self) -> None:
        """End all servers. Idempotent."""
        self._closed = True
        for place in self._places.values():
            self._end(place)
        self._places.clear()
        if self._ending:
            await asyncio.wait(self._ending)

    def _place(self, launch: KernelLaunch) -> _Place | None:
        plan = plan_for(launch)
        if plan is None or self._closed:
            return None
        if plan not in self._places:
            while len(self._places) >= SERVERS:
                oldest = min(self._places.values(), key=lambda place: place.used_at)
                self._end(self._places.pop(oldest.plan))
            self._places[plan] = _Place(plan)
        return self._places[plan]

    def _end(self, place: _Place) -> None:
        if place.starting is not None:
            place.starting.cancel()
            self._own(place.starting)
        self._retire(place)

    def _start(self, place: _Place, *, replace: bool = False) -> None:
        """Start a server in the background unless there is one, or it is too soon after a failure."""
        wanted = replace or place.server is None
        if wanted and place.starting is None and time.monotonic() >= place.retry_at and not self._closed:
            place.starting = asyncio.create_task(self._start_server(place), name="fork-server-start")
            place.starting.add_done_callback(lambda _: self._started(place))

    def _started(self, place: _Place) -> None:
        place.starting = None

    async def _start_server(self, place: _Place) -> None:
        """A new server in `place`. A module that it cannot have is left out, one after the other."""
        began = time.monotonic()
        while True:
            server = ForkServer(place.plan, tuple(place.left_out), lambda ended: self._on_end(place, ended))
            try:
                await server.start()
            except PreloadRefused as refused:
                self._close(server)
                log.warning("preload_left_out module=%s reason=%s", refused.module, refused.reason)
                if refused.module in place.left_out:
                    self._fail(place, None, str(refused))
                    return
                place.left_out[refused.module] = refused.reason
                continue
            except ForkServerFailed as error:
                self._close(server)
                self._fail(place, None, str(error))
                return
            except BaseException:
                self._close(server)
                raise
            break
        self._retire(place)
        place.server = server
        for module, reason in server.left_out.items():
            log.warning("preload_left_out module=%s reason=%s", module, reason)
        log.info("fork_server_ready server=%d duration_ms=%d", server.pid, (time.monotonic() - began) * 1000)

    def _on_end(self, place: _Place, server: ForkServer) -> None:
        if place.server is server:
            self._fail(place, server, "it ended")

    def _fail(self, place: _Place, server: ForkServer | None, reason: str, delay_s: float = 0.0) -> None:
        """Do without this server (None: one that did not start); a new one waits for its time, at least `delay_s`."""
        if server is not None and place.server is not server:
            return  # it was replaced meanwhile
        log.warning("fork_server_failed failures=%d reason=%s", place.failures, reason)
        # One that has forked was of use: the next may start at once.
        useful = server is not None and server.forks > 0 and place.failures == 0
        delay_s = max(delay_s, 0.0 if useful else self._retry_s[min(place.failures, len(self._retry_s) - 1)])
        place.retry_at = time.monotonic() + delay_s
        place.failures += 1
        place.fault = reason
        self._retire(place)
        self._start(place)

    def _retire(self, place: _Place) -> None:
        server, place.server = place.server, None
        if server is not None:
            self._close(server)

    def _close(self, server: ForkServer) -> None:
        self._own(asyncio.create_task(server.close(), name="fork-server-end"))

    def _own(self, task: "asyncio.Task[None]") -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _whose(launch: KernelLaunch) -> str | Plan | None:
    """Whose next kernel tells whether a server is to blame: a session's, or any of the pool of this plan."""
    return launch.session or plan_for(launch)
