"""The front process: the HTTP door on an inherited socket."""

import asyncio
import contextlib
import logging
import signal
import socket
from pathlib import Path

from aiohttp import web

from auth.audit import AuditLog
from auth.authenticator import Authenticator
from auth.errors import DatabaseUnavailable
from kernel_bridge.client import HostClient
from kernel_bridge.tracing import Tracer
from kernelwire import __version__, tls
from kernelwire.errors import CannotServe
from kernelwire.life_line import LifeLine
from kernelwire.listener import BACKLOG
from kernelwire.settings import Settings
from rpc import http_server
from rpc.app import create_app
from rpc.context import Services

HOST_WAIT_S = 5.0
"""what the host is given to be there before the first call; later ones are told to try again"""

log = logging.getLogger("kernelwire.front")


async def run_front(
    listener: socket.socket,
    life: LifeLine,
    state_dir: Path,
    settings: Settings,
    name: str,
    tracer: Tracer | None = None,
) -> None:
    """Serve until SIGTERM, or until the supervisor is gone; then drain and close all but `tracer`.

    SIGHUP: read the certificate anew. Raises CannotServe if it cannot be read at the start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    certificate = tls.of_settings(settings.serve.tls_cert, settings.serve.tls_key)
    if certificate is not None:
        loop.add_signal_handler(signal.SIGHUP, _reload, certificate)
    client = HostClient(state_dir, __version__, settings.bridge.hop_silence_s)
    authenticator = Authenticator.open(state_dir, settings.auth)
    audit = AuditLog.of(state_dir, settings.audit)
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(client.run(), name="host-client"),
            tasks.create_task(authenticator.watch(), name="revocations"),
            tasks.create_task(_stop_with_supervisor(life, stop), name="life-line"),
        ]
        try:
            with contextlib.suppress(DatabaseUnavailable):
                await authenticator.refresh()
            services = Services.of(client, authenticator, __version__, settings.rpc, tracer, name, audit)
            await _serve(listener, certificate, life, services, client, stop)
        finally:
            for task in background:
                task.cancel()
            await authenticator.close()
            await audit.close()
            life.close()


async def _serve(
    listener: socket.socket,
    certificate: tls.Certificate | None,
    life: LifeLine,
    services: Services,
    client: HostClient,
    stop: asyncio.Event,
) -> None:
    # shutdown_timeout bounds what the drain of the application has left over
    runner = web.AppRunner(create_app(services), handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    context = certificate and certificate.context
    try:
        await client.wait_ready(HOST_WAIT_S)
        server = await http_server.start(runner, listener, services.metrics.response, backlog=BACKLOG, tls=context)
        try:
            life.say_ready()
            await stop.wait()
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _reload(certificate: tls.Certificate) -> None:
    """A new file that is no good changes nothing."""
    try:
        certificate.reload()
    except CannotServe as error:
        log.error("certificate_kept reason=%s", error)  # noqa: TRY400  the reason is enough
    else:
        log.info("certificate_read")


async def _stop_with_supervisor(life: LifeLine, stop: asyncio.Event) -> None:
    await life.answer_until_gone()
    stop.set()
