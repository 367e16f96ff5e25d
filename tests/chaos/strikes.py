"""What is done to the real processes. Each function strikes once, and says when."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.chaos.caller import Refused
from tests.chaos.session import Session
from tests.chaos.stage import Stage, Unhealed, send, until
from tests.e2e.processes import Process

FROZEN_S = 0.5
"""a process that is to go on stands still for so long"""
HOST_FROZEN_S = 1.5
"""so long the host does, in a flood: for thousands of lines"""
REPLACED_S = 20.0
"""bound of the time after which one that stands still is ended by the supervisor"""
FORK_SERVER_TRIES = 40
FORK_SERVER = "kernelwire-fork-server"
DATABASE_UNAVAILABLE = -32042
LIMIT_EXCEEDED = -32005


@dataclass(slots=True)
class Blows:
    """When it was struck (seconds since the epoch), and what was found wrong while it lasted."""

    at: list[float] = field(default_factory=list[float])
    breaches: list[str] = field(default_factory=list[str])

    def struck(self) -> None:
        self.at.append(time.time())


Strike = Callable[[Stage, Sequence[Session], random.Random, Blows], Awaitable[None]]
"""Strikes while cells of these sessions print; returns when nothing more has to be done for the service to be well"""


async def kill_front(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    _kill(rng.choice(stage.front_processes()), blows)


async def stop_front(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """It stands still and goes on; calls that it has taken wait, new ones go to another front."""
    await _freeze(rng.choice(stage.front_processes()), blows)


async def freeze_front(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """It stands still, and is replaced."""
    await _replaced(rng.choice(stage.front_processes()), "front", blows)


async def kill_supervisor(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    blows.struck()
    await stage.kill_supervisor()
    await stage.serve()


async def kill_host(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    _kill(_one(stage.host_processes()), blows)


async def kill_host_twice(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """The second time while the next one may still be taking over."""
    first = _one(stage.host_processes())
    _kill(first, blows)
    await until(lambda: set(stage.host_processes()) - {first}, "a new host")
    await asyncio.sleep(rng.uniform(0.0, 1.0))
    _kill(_one(stage.host_processes()), blows)


async def kill_all(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """Supervisor, fronts and host at once: only shims and kernels are left."""
    fronts, host = stage.front_processes(), _one(stage.host_processes())
    blows.struck()
    for process in (*fronts, host):
        send(process, signal.SIGKILL)
    await stage.kill_supervisor()
    await stage.serve()


async def freeze_host(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """It stands still, and is replaced."""
    await _replaced(_one(stage.host_processes()), "host", blows)


async def pause_host(stage: Stage, _: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """It stands still for a moment, too short to be replaced, while its kernels print as fast as they can."""
    await _freeze(_one(stage.host_processes()), blows, HOST_FROZEN_S)


async def kill_kernel(stage: Stage, sessions: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    for session in sessions:
        _kill(stage.service.kernel_of(session.id)[1], blows)


async def stop_kernel(stage: Stage, sessions: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    await asyncio.gather(*(_freeze(stage.service.kernel_of(session.id)[1], blows) for session in sessions))


async def kill_shim(stage: Stage, sessions: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    for session in sessions:
        _kill(stage.service.kernel_of(session.id)[0], blows)


async def stop_shim(stage: Stage, sessions: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    await asyncio.gather(*(_freeze(stage.service.kernel_of(session.id)[0], blows) for session in sessions))


async def kill_fork_server(stage: Stage, sessions: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """Kernels can be started all the same, and after a while they are forked again."""
    before = fork_servers(stage)
    _kill(rng.choice(before), blows)
    for _ in range(FORK_SERVER_TRIES):
        if await _is_forked(stage, before):
            return
        await asyncio.sleep(FROZEN_S)
    blows.breaches.append("no kernel was forked again")


async def cut_connections(_: Stage, sessions: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """All of them at once."""
    blows.struck()
    for session in sessions:
        session.cut()


async def fill_disk(stage: Stage, sessions: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """For a while there is no room; then there is again."""
    ballast = stage.state_dir / "ballast"
    blows.struck()
    try:
        await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(FROZEN_S)
        code = await _code(stage, "evaluate", session=sessions[0].id, code="'no room'", wait=0)
        if code != LIMIT_EXCEEDED:
            blows.breaches.append(f"a new cell on a full disk: {code}, not LimitExceeded")
    finally:
        ballast.unlink()


async def lose_database(stage: Stage, sessions: Sequence[Session], rng: random.Random, blows: Blows) -> None:
    """Its file is moved away, and then back."""
    files = [path for path in stage.state_dir.glob("kernelwire.db*") if path.is_file()]
    away = stage.state_dir.parent / "away"
    away.mkdir(exist_ok=True)
    blows.struck()
    for path in files:
        path.rename(away / path.name)
    try:
        code = await _log_in(stage, sessions[0])
        if code != DATABASE_UNAVAILABLE:
            blows.breaches.append(f"log-in without the database: {code}, not DatabaseUnavailable")
        await asyncio.sleep(FROZEN_S)
    finally:
        for path in stage.state_dir.glob("kernelwire.db*"):
            path.unlink()  # what was made meanwhile belongs to no database
        for path in files:
            (away / path.name).rename(path)
    for _ in range(50):
        code = await _log_in(stage, sessions[0])
        if code != DATABASE_UNAVAILABLE:
            break
        await asyncio.sleep(0.1)
    if code is not None:
        blows.breaches.append(f"log-in after the database came back: {code}")


def _kill(process: Process, blows: Blows) -> None:
    blows.struck()
    send(process, signal.SIGKILL)


async def _replaced(process: Process, name: str, blows: Blows) -> None:
    blows.struck()
    send(process, signal.SIGSTOP)
    if not await asyncio.to_thread(process.wait, REPLACED_S):
        send(process, signal.SIGCONT)
        raise Unhealed(f"the {name} stood still for {REPLACED_S:g} s and was not replaced")


async def _freeze(process: Process, blows: Blows, for_s: float = FROZEN_S) -> None:
    blows.struck()
    send(process, signal.SIGSTOP)
    try:
        await asyncio.sleep(for_s)
    finally:
        send(process, signal.SIGCONT)


def _one(found: Sequence[Process]) -> Process:
    if len(found) != 1:
        raise Unhealed(f"{len(found)} hosts: {found}")
    return found[0]


def fork_servers(stage: Stage) -> list[Process]:
    return stage.found(FORK_SERVER)


async def _is_forked(stage: Stage, before: Sequence[Process]) -> bool:
    """Start a kernel in a session of its own; whether a fork server did it that was not there `before`."""
    async with stage.caller() as caller:
        opened = msgspec.json.decode(await caller.call("open_session", start=True))
        servers = {server.pid for server in fork_servers(stage) if server not in before}
        forked = any(process.parent in servers for process in stage.service.kernels())
        await caller.call("close_session", session=opened["session"], delete=True)
    return forked


def _fill(ballast: Path) -> None:
    """Take all the room that there is."""
    with ballast.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                os.posix_fallocate(file.fileno(), file.tell(), size)
                file.seek(0, os.SEEK_END)
            except OSError:
                size //= 2


async def _code(stage: Stage, method: str, **params: object) -> int | None:
    """The error that a call is answered with, None if it is not."""
    async with stage.caller() as caller:
        try:
            await caller.call(method, **params)
        except Refused as error:
            return error.code
    return None


async def _log_in(stage: Stage, session: Session) -> int | None:
    return await _code(stage, "login", username="admin", password=stage.service.password, session=session.id)
