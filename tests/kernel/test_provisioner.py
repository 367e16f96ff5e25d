"""Forked kernels through jupyter_client, as any other program starts them."""

import asyncio
import json
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import AsyncKernelManager

from kernel_bridge.forkserver import provisioner

BOUND_S = 20.0


async def test_jupyter_client_forks_by_the_provisioner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Fork",
        "language": "python",
        "metadata": {"kernel_provisioner": {"provisioner_name": "kernelwire-fork-server"}},
    }
    place = tmp_path / "kernels" / "fork"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shop = provisioner.workshop()
    forked: list[bool] = []
    try:
        for _ in range(2):
            forked.append(await provisioned(tmp_path))
            await shop.forks.settled()
        assert forked == [False, True]
        assert [path.name for path in shop.directory.iterdir()] == ["host.lock"]
    finally:
        await provisioner.close()
    assert not shop.directory.exists()


async def provisioned(directory: Path) -> bool:
    """Start, use, interrupt, restart and end a kernel through jupyter_client; whether it was forked."""
    manager: Any = AsyncKernelManager(kernel_name="fork", transport="ipc", ip=str(directory / "k"))
    await manager.start_kernel(cwd=str(directory))
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=BOUND_S)
        forked: bool = manager.provisioner.process.forked
        assert await expression(client, "import os; os.getcwd()") == str(directory)
        # with stop_on_error ipykernel would abort what it receives right after this, too
        msg_id = client.execute("import time\nprint('on', flush=True)\ntime.sleep(60)", stop_on_error=False)
        await started(client, msg_id)
        await manager.interrupt_kernel()
        reply = await client._async_recv_reply(msg_id, timeout=BOUND_S)
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        before = await expression(client, "os.getpid()")
        await manager.restart_kernel(now=True)
        await client.wait_for_ready(timeout=BOUND_S)
        assert await expression(client, "import os; os.getpid()") != before
        client.execute("os._exit(4)")
        async with asyncio.timeout(BOUND_S):
            while await manager.is_alive():  # noqa: ASYNC110  an outside process
                await asyncio.sleep(0.02)
        assert await manager.provisioner.poll() == 4
        return forked
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
        manager.context.term()


async def expression(client: Any, code: str) -> Any:
    """The value of an expression, after statements."""
    *statements, last = code.split("; ")
    reply = await client.execute("; ".join(statements), user_expressions={"it": last}, reply=True, timeout=BOUND_S)
    return literal_eval(reply["content"]["user_expressions"]["it"]["data"]["text/plain"])


async def started(client: Any, msg_id: str) -> None:
    """Return when the cell's own code runs: before it, between ipykernel's own steps, an interrupt leaves no reply."""
    while True:
        message = await client.get_iopub_msg(timeout=BOUND_S)
        if message["msg_type"] == "stream" and message["parent_header"]["msg_id"] == msg_id:
            return
