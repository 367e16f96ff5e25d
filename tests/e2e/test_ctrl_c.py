"""Ctrl-C ends everything that `serve` started, whatever is under way; twice forces."""

import asyncio
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from tests.e2e import processes
from tests.e2e.client import Client
from tests.e2e.conftest import Starter
from tests.e2e.service import KERNELWIRE, Service, environment

LONG = "import time; time.sleep(60)"
STUBBORN = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("deaf", flush=True)
while True:
    try:
        time.sleep(600)
    except BaseException:
        pass
"""


async def _ending(call: "asyncio.Task[object]") -> str:
    """How a call under way ended: `answered`, the code of its error, or `cut`."""
    try:
        await call
    except aiohttp.ClientError:
        return "cut"
    except Exception as error:  # noqa: BLE001  whatever it is, the test names it
        return str(error)
    return "answered"


@pytest.mark.parametrize("on_terminal", [False, True], ids=["signal to the supervisor", "key on the terminal"])
async def test_with_a_running_cell_and_a_long_poll(
    start: Starter, http: aiohttp.ClientSession, on_terminal: bool
) -> None:
    service = start(on_terminal=on_terminal)
    client = await _first_client(http, service)
    await client.evaluate(LONG, wait=0, cell="long")
    seen = await client.until("execute_input")
    polling = asyncio.create_task(client.call("poll_output", cursor=seen.seq, wait=300))
    waiting = asyncio.create_task(client.evaluate("1", cell="next", wait=300))
    await client.until("cell", state="queued", cursor=seen.seq)

    await asyncio.to_thread(service.stop)

    assert "-32040" in await _ending(waiting)
    assert await _ending(polling) == "answered"  # with the event of the cell that was queued

    again = start(on_terminal=on_terminal)
    known = replace(client, service=again)
    for name in ("long", "next"):
        cell = await known.cell(name)
        assert (cell.state, cell.end) == ("done", "closed")
    assert (await known.evaluate("1 + 1")).text == "2"
    await asyncio.to_thread(again.stop)


async def test_twice_forces(start: Starter, http: aiohttp.ClientSession) -> None:
    # one Ctrl-C would wait a minute for the call
    service = start(extra={"KERNELWIRE_RPC__DRAIN_S": "60", "KERNELWIRE_BRIDGE__KERNEL_STOP_S": "60"})
    client = await _first_client(http, service)
    await client.evaluate(STUBBORN, wait=0, cell="stubborn")
    seen = await client.until("stream", text="deaf\n")
    waiting = asyncio.create_task(client.evaluate("1", cell="next", wait=300))
    await client.until("cell", state="queued", cursor=seen.seq)
    service.remember()
    assert len(service.kernels()) == 4  # shim, the init of the namespace, kernel and what the cell started

    service.press_ctrl_c()
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for the call
        await asyncio.to_thread(service.process.wait, 0.5)
    service.press_ctrl_c()

    await asyncio.to_thread(service.check_stopped, 20)
    assert await _ending(waiting) == "cut"


async def test_a_signal_while_it_starts(start: Starter) -> None:
    """The first start takes a second; whoever changes his mind meanwhile must not be left with processes."""
    service = start()
    await asyncio.to_thread(service.stop)
    starting = _serve(service.state_dir)
    until = time.monotonic() + 20
    while not any("_host" in found.command for found in processes.of_state_dir(service.state_dir)):
        assert time.monotonic() < until
    starting.send_signal(signal.SIGINT)
    said, errors = await asyncio.to_thread(starting.communicate, None, 30)

    assert (starting.returncode, said) == (0, b""), errors
    assert b"Traceback" not in errors
    assert not processes.of_state_dir(service.state_dir)
    assert not service.sockets.exists()


async def _first_client(http: aiohttp.ClientSession, service: Service) -> Client:
    if service.on_terminal:  # the password was shown there
        text = service.output.wait_for('"evaluate"', 10)
        password = text.partition("password ")[2].split()[0]
        return await Client(http, service).log_in(password=password)
    return await Client(http, service).log_in()


def _serve(state_dir: Path) -> "subprocess.Popen[bytes]":
    """Started, and not waited for."""
    return subprocess.Popen(
        [KERNELWIRE, "serve", "--port", "0", "--state-dir", str(state_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(state_dir.parent / "home"),
        process_group=0,
    )
