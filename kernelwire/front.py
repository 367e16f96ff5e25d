"""The front process: the HTTP door on an inherited socket."""

import asyncio
import contextlib
import signal
import socket
from pathlib import Path

from aiohttp import web

from auth.authenticator import Authenticator
from auth.errors import DatabaseUnavailable
from kernel_bridge.client import HostClient
from kernel_bridge.tracing import Tracer
from kernelwire import __version__
from kernelwire.child import LifeLine
from kernelwire.settings import Settings
from rpc.app import create_app
from rpc.context import Services

HOST_WAIT_S = 30.0


async def run_front(
    listener: socket.socket, life: LifeLine, state_dir: Path, settings: Settings, tracer: Tracer | None = None
) -> None:
    """Serve until SIGTERM, or until the supervisor is gone; then drain and close all but `tracer`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    client = HostClient(state_dir, __version__, settings.bridge.hop_silence_s)
    authenticator = Authenticator.open(state_dir, settings.auth)
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(client.run(), name="host-client"),
            tasks.create_task(authenticator.watch(), name="revocations"),
            tasks.create_task(_stop_with_supervisor(life, stop), name="life-line"),
        ]
        try:
            with contextlib.suppress(DatabaseUnavailable):
                await authenticator.refresh()
            services = Services.of(client, authenticator, __version__, settings.rpc, tracer)
            await _serve(listener, life, services, client, stop)
        finally:
            for task in background:
                task.cancel()
            await authenticator.close()
            life.close()


async def _serve(
    listener: socket.socket, life: LifeLine, services: Services, client: HostClient, stop: asyncio.Event
) -> None:
    # shutdown_timeout bounds what the drain of the application has left over
    runner = web.AppRunner(
        create_app(services), handler_cancellation=True, auto_decompress=False, access_log=None, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        await client.wait_ready(HOST_WAIT_S)
        await web.SockSite(runner, listener, backlog=512).start()
        life.say_ready()
        await stop.wait()
    finally:
        await runner.cleanup()


async def _stop_with_supervisor(life: LifeLine, stop: asyncio.Event) -> None:
    await life.supervisor_gone()
    stop.set()
