"""The service of a run, and the processes and connections that faults are done to."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.chaos.caller import Caller
from tests.chaos.session import Session
from tests.chaos.transcript import BOUND_S
from tests.e2e import processes
from tests.e2e.processes import Process
from tests.e2e.service import Service

POLL_S = 0.03
SETTINGS = {
    "KERNELWIRE_BRIDGE__HOP_SILENCE_S": "2",
    "KERNELWIRE_SERVE__HOST_SILENCE_S": "3",
    "KERNELWIRE_SERVE__FRONT_SILENCE_S": "3",
    "KERNELWIRE_RPC__DRAIN_S": "0.5",
    "KERNELWIRE_RPC__LONG_POLLS": "1000",
    "KERNELWIRE_LOG__LEVEL": "warning",
}
"""short, so that a round is; a line for each call would be most of what a long run writes"""


class _LoggedIn(Struct, frozen=True):
    token: str


class Unhealed(AssertionError):
    """The service did not come back by itself."""


@dataclass(slots=True)
class Stage:
    """One state directory, served by one `kernelwire serve` after the other. Made by `open`; `close` checks the end."""

    state_dir: Path
    arguments: Sequence[str]
    extra: Mapping[str, str]
    fronts: int
    services: list[Service] = field(default_factory=list[Service])
    sessions: list[Session] = field(default_factory=list[Session])
    token: str = ""

    @classmethod
    async def open(cls, state_dir: Path, fronts: int, extra: Mapping[str, str] | None = None) -> "Stage":
        """`extra`: environment of the service."""
        arguments = ["--workers", str(fronts)] if fronts > 1 else []
        stage = cls(state_dir, arguments, SETTINGS | dict(extra or {}), fronts)
        try:
            await stage.serve()
            await stage._log_in()
        except BaseException:
            await stage.abandon()
            raise
        return stage

    @property
    def service(self) -> Service:
        """The one that runs, or ran last."""
        return self.services[-1]

    @property
    def url(self) -> str:
        return self.service.url

    def caller(self) -> Caller:
        """A client with connections of its own, to be closed."""
        return Caller(lambda: self.url, self.token)

    async def serve(self) -> None:
        """Start a service; the first one chooses the port."""
        port = ["--port", str(self.service.port)] if self.services else []
        made = await asyncio.to_thread(
            Service.start, self.state_dir, arguments=[*self.arguments, *port], extra=self.extra
        )
        if self.services:
            made.seen |= self.services[-1].seen
            made.private |= self.services[-1].private
        self.services.append(made)

    async def _log_in(self) -> None:
        async with self.caller() as caller:
            answer = await caller.call("login", username="admin", password=self.service.password)
        self.token = msgspec.json.decode(answer, type=_LoggedIn).token
        self.service.private.add(self.token)

    async def open_sessions(self, count: int, rng: random.Random) -> None:
        """In place of those that there are, which are deleted."""
        await self.close_sessions()
        for _ in range(count):
            self.sessions.append(await Session.open(self.caller, rng))
        self.service.remember()

    async def close_sessions(self) -> None:
        while self.sessions:
            await self.sessions.pop().close()

    def found(self, word: str) -> list[Process]:
        """The processes of this run that have `word` on their command line."""
        return [process for process in processes.of_state_dir(self.state_dir) if word in process.command]

    def front_processes(self) -> list[Process]:
        return self.found("_front")

    def host_processes(self) -> list[Process]:
        return self.found("_host")

    async def whole(self) -> None:
        """Return when all fronts and the host are there and answer. Raises Unhealed, NoAnswer."""
        await until(self._complete, f"{self.fronts} fronts and a host")
        await self._all_fronts_answer()
        await self.answers()
        self.service.remember()

    async def _all_fronts_answer(self) -> None:
        """Each connection goes to whichever front takes it, so it may need some."""
        clock, seen = asyncio.get_running_loop().time, set[str]()
        end = clock() + BOUND_S
        while len(seen) < self.fronts:
            if clock() > end:
                raise Unhealed(f"not within {BOUND_S:g} s: {self.fronts} fronts that answer, only {seen}")
            async with self.caller() as one, self.caller() as other:
                seen |= {*await asyncio.gather(one.worker(), other.worker())} - {""}

    async def answers(self) -> None:
        """Return when some front and the host answer. Raises NoAnswer."""
        async with self.caller() as caller:
            await caller.call("list_sessions", limit=1)

    def _complete(self) -> bool:
        return len(self.front_processes()) >= self.fronts and len(self.host_processes()) == 1

    async def kill_supervisor(self) -> None:
        """SIGKILL to it alone; returns when its fronts have ended, too, by themselves."""
        fronts = self.front_processes()
        self.service.kill()
        for front in fronts:
            if not await asyncio.to_thread(front.wait, BOUND_S):
                raise Unhealed(f"a front outlived its supervisor: {front}")

    async def close(self) -> None:
        """Stop the service and check what it leaves: nothing. Raises AssertionError."""
        try:
            for session in self.sessions:
                await session.free()
            self.sessions.clear()
            sockets = self.service.sockets
            await asyncio.to_thread(self.service.stop)
            assert not sockets.exists()
            for service in self.services[:-1]:
                service.check_log()
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """End all that was started, whatever state it is in."""
        for session in self.sessions:
            await session.free()
        for service in self.services:
            await asyncio.to_thread(service.abandon)


async def until(condition: Callable[[], object], what: str) -> None:
    """Return when `condition` of processes, which nobody can await, holds. Raises Unhealed."""
    clock = asyncio.get_running_loop().time
    end = clock() + BOUND_S
    while not condition():
        if clock() > end:
            raise Unhealed(f"not within {BOUND_S:g} s: {what}")
        await asyncio.sleep(POLL_S)


def send(process: Process, number: signal.Signals) -> None:
    """A signal to exactly this process, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process.pid)
        try:
            if process.alive():
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
