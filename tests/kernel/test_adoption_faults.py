"""A host dies at one exact step of its work, or finds damaged files: what the next one makes of that."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from kernel_bridge import hop
from kernel_bridge.errors import BridgeError
from tests.kernel.house import ALICE
from tests.kernel.real_host import RealHost, real_host

FELL_S = 15.0
SLOW_ERROR = "import time; time.sleep(0.5); 1/0"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[RealHost]:
    async with real_host(tmp_path, fork_server=0) as made:
        yield made


async def fatal(host: RealHost, point: str) -> None:
    """Another host, which kills itself at `point`; see fatal_host.py."""
    await host.die()
    await host.start(sys.executable, "-m", "tests.kernel.fatal_host", point)


async def test_a_failed_cell_whose_queue_was_not_aborted_yet(host: RealHost) -> None:
    session = await host.open(start=True)
    await fatal(host, "kernel_bridge.runner:Runner._end_queue:before:1")
    await host.evaluate(session, SLOW_ERROR, cell="fails", wait=0.0)
    for cell in ("q0", "q1"):
        await host.evaluate(session, "open('ran', 'w')", cell=cell, wait=0.0)
    await host.fell(FELL_S)
    await host.start()
    for cell, end in (("fails", "error"), ("q0", "aborted"), ("q1", "aborted")):
        assert (await host.ask(hop.GetCell(caller=ALICE, session=session, cell=cell))).end == end
    assert (await host.evaluate(session, "2", wait=20.0)).text == "2"
    assert not list(host.state_dir.glob("workdirs/*/ran"))


async def test_a_deletion_that_has_begun_leaves_no_files(host: RealHost) -> None:
    session = await host.open()
    await host.evaluate(session, "_ = open('mine', 'w').write('x')", wait=20.0)
    await fatal(host, "kernel_bridge.deletion:_remove:before:1")
    with suppress(BridgeError):
        await host.ask(hop.CloseSession(caller=ALICE, session=session, delete=True))
    await host.fell(FELL_S)
    assert list(host.state_dir.glob("workdirs/*/mine"))
    await host.start()
    async with asyncio.timeout(FELL_S):
        while [*host.state_dir.glob("workdirs/*"), *host.state_dir.glob("sessions/*")]:  # noqa: ASYNC110  what another process does
            await asyncio.sleep(0.02)


async def test_damaged_files_of_one_session_cost_no_other_one(host: RealHost) -> None:
    session, other = await host.open(start=True), await host.open()
    await host.evaluate(session, "kept = 1; input()", cell="ran", wait=0.0, allow_stdin=True)
    asked = await host.until(session, "input_request")
    await host.evaluate(session, "kept", cell="next", wait=0.0)
    await host.die()
    with (host.state_dir / "sessions" / session / "cells.jsonl").open("a") as cells:
        cells.write('{"cell": "~damaged"}\n[]\n')
    damaged = host.state_dir / "kernels" / "damaged"
    damaged.mkdir()
    record = {"kid": "damaged", "session": other, "pid": -1, "start_time": 1, "shim_pid": 1 << 40, "argv": [""]}
    (damaged / "kernel.json").write_text(json.dumps(record))
    await host.start()
    await host.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value=""))
    assert (await host.evaluate(session, "kept", wait=20.0)).text == "1"
    assert (await host.ask(hop.GetCell(caller=ALICE, session=session, cell="next"))).text == "1"
