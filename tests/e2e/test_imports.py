"""What each process of the service keeps in memory for as long as it lives: only what it needs.

Which modules, and no figures: what they take is measured by the benchmark.
"""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.client import Client
from tests.e2e.conftest import Starter

HOOK = Path(__file__).parent / "modules_hook"
SQL = {"sqlalchemy", "argon2", "itsdangerous"}
"""the database of users, passwords, tokens"""
HTTP = {"aiohttp", "jsonrpcserver", "prometheus_client"}
UPGRADE = {"alembic", "mako"}
JUPYTER = {"jupyter_client", "tornado", "traitlets", "IPython", "ipykernel"}
NOBODY = {"opentelemetry", "rich", "matplotlib", "kernelwire.doctor"}
"""tracing is off; the rest is of other programs, or of other commands"""
HOST = {"kernel_bridge.session", "kernel_bridge.kernel"}


@pytest.mark.parametrize("first", [True, False])
async def test_no_process_keeps_what_another_one_needs(
    first: bool, start: Starter, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    if not first:
        await asyncio.to_thread(start().stop)
    service = start(extra={"PYTHONPATH": str(HOOK), "MODULES_DIR": str(tmp_path)})
    client = await Client(http, service).log_in()
    assert (await client.call("list_kernels"))["kernels"]
    await asyncio.to_thread(service.stop)

    modules = {role: set(json.loads((tmp_path / f"{role}.json").read_text())) for role in ("serve", "_front", "_host")}
    assert modules["serve"] & (SQL | HTTP | UPGRADE | JUPYTER | NOBODY | HOST) == set()
    assert modules["_front"] & (UPGRADE | JUPYTER | NOBODY | HOST) == set()
    assert modules["_host"] & (SQL | HTTP | UPGRADE | JUPYTER | NOBODY) == set()
    # what is looked for is there under these names, else the lines above could not fail
    set_up = set(json.loads((tmp_path / "_set_up.json").read_text()))
    assert SQL - {"itsdangerous"} | {"alembic"} <= set_up
    assert modules["_front"] >= SQL | HTTP
    assert modules["_host"] >= HOST
