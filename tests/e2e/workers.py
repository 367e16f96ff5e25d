"""The fronts of one service: which there are, and a way to talk to a certain one."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

import aiohttp

from tests.e2e import processes
from tests.e2e.client import Client
from tests.e2e.processes import Process
from tests.e2e.service import Service

BOUND_S = 30.0
LOOK_S = 0.05
_CONNECTIONS = 400
"""connections after which it is no chance any more that one front took none"""


def fronts(service: Service) -> dict[str, Process]:
    """Those that run, by name."""
    running = processes.of_state_dir(service.state_dir)
    commands = [(process, process.command) for process in running if "_front" in process.command]
    return {command[command.index("--name") + 1]: process for process, command in commands}


async def replaced(service: Service, name: str, old: Process, within_s: float = BOUND_S) -> Process:
    """The next front of this name, as soon as it answers."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        new = fronts(service).get(name)
        if new is not None and new != old:
            async with at(service, name):
                return new
        await asyncio.sleep(LOOK_S)
    raise AssertionError(f"{name} was not replaced within {within_s} s")


@contextlib.asynccontextmanager
async def at(service: Service, name: str) -> AsyncGenerator[aiohttp.ClientSession]:
    """A connection to this front, and nothing else: it is kept open between calls."""
    until = time.monotonic() + BOUND_S
    for _ in range(_CONNECTIONS):
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=60), timeout=aiohttp.ClientTimeout(total=60)
        )
        async with session:
            if await worker_of(session, service) == name:
                yield session
                return
        assert time.monotonic() < until, f"no connection to {name}"
        await asyncio.sleep(0.01)  # in quick succession they may all go to one
    raise AssertionError(f"no connection to {name}")


async def worker_of(session: aiohttp.ClientSession, service: Service) -> str:
    """The front at the other end."""
    async with session.get(f"{service.url}/healthz") as answer:
        return (await answer.json())["worker"]


@contextlib.asynccontextmanager
async def client_at(client: Client, name: str) -> AsyncGenerator[Client]:
    """The same token and session, by way of this front."""
    async with at(client.service, name) as session:
        yield Client(session, client.service, client.token, client.session)
