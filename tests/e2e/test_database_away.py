"""The database of users goes away while the service runs: nobody logs in, sessions go on, and it recovers."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.client import Client
from tests.e2e.conftest import Starter
from tests.e2e.patient import persistent
from tests.e2e.service import Service
from tests.e2e.workers import at, fronts, replaced

END_S = 20.0


def _remove(database: Path) -> None:
    """As when a disk is gone; with the files that SQLite keeps beside it."""
    away = database.with_name("away")
    away.mkdir()
    for path in _files(database):
        path.rename(away / path.name)


def _damage(database: Path) -> None:
    """It is there and cannot be read: for root, file modes would not do."""
    _remove(database)
    database.write_bytes(b"this is no database\n" * 200)
    database.chmod(0o600)


def _restore(database: Path) -> None:
    for path in _files(database):
        path.unlink()
    for path in _files(database.with_name("away") / database.name):
        path.rename(database.with_name(path.name))


def _files(database: Path) -> list[Path]:
    return [*database.parent.glob(f"{database.name}*")]


async def _readiness(service: Service) -> tuple[int, list[str]]:
    async with aiohttp.ClientSession() as http, http.get(f"{service.url}/readyz") as answer:
        return answer.status, (await answer.json())["reasons"]


async def _until(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(END_S):
        while True:
            found = await ask()
            if found == wanted:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("take_away", [_remove, _damage])
async def test_sessions_go_on_and_it_recovers(
    start: Starter, http: aiohttp.ClientSession, take_away: Callable[[Path], None]
) -> None:
    service = start(arguments=["--workers", "2"])
    client = await Client(http, service).log_in()
    leaving = await client.log_in()
    password = service.password
    await client.evaluate("kept = 41")
    ready = await _readiness(service)
    assert ready == (200, [])
    database = service.state_dir / "kernelwire.db"

    take_away(database)

    failure = await client.fails(-32042, "login", username="admin", password=password)
    assert failure.data is not None
    assert failure.data["retry_after_s"] > 0
    assert "away" not in failure.message
    await _until(lambda: _readiness(service), (503, ["database"]))
    assert (await client.evaluate("kept + 1")).text == "42"
    assert (await client.call("whoami"))["user"] == "admin"

    async with at(service, "front-1") as first:
        await replace(leaving, http=first).fails(-32042, "logout")
        assert (await replace(leaving, http=first).post(_whoami())).status == 401  # there it holds at once
        old = fronts(service)["front-2"]
        os.kill(old.pid, signal.SIGKILL)
        await replaced(service, "front-2", old)  # and a front that starts meanwhile serves those who have a token
        async with at(service, "front-2") as second:
            assert (await replace(client, http=second).evaluate("kept + 1")).text == "42"

            _restore(database)

            await _until(lambda: _readiness(service), ready)
            again = await persistent(lambda: client.log_in())
            assert (await replace(again, http=second).call("whoami"))["user"] == "admin"
            status = _status(replace(leaving, http=second))
            await _until(status, 401)  # the log-out was written down when it could be
    service.remember()
    await asyncio.to_thread(service.stop)


def _whoami() -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": "whoami"}


def _status(client: Client) -> Callable[[], Awaitable[int]]:
    async def ask() -> int:
        return (await client.post(_whoami())).status

    return ask
