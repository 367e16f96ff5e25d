"""`kernelwire _host` and `kernelwire _front`: what the supervisor starts; nobody types them."""

import argparse
import contextlib
import ctypes
import signal
import socket
from pathlib import Path

from kernel_bridge.host import Host, HostRunning
from kernel_bridge.tracing import Tracer
from kernelwire import __version__, handed_settings, logs
from kernelwire.errors import Failed
from kernelwire.life_line import LifeLine
from kernelwire.settings import Settings
from kernelwire.tracing import opened_tracer

_PR_SET_PDEATHSIG = 1


def make_parser() -> argparse.ArgumentParser:
    """A parser of their own, so that help and completion of the others know nothing of them."""
    parser = argparse.ArgumentParser(prog="kernelwire")
    commands = parser.add_subparsers(required=True)
    host, front = commands.add_parser("_host"), commands.add_parser("_front")
    for child in (host, front):
        child.add_argument("--state-dir", type=Path, required=True)
        child.add_argument("--settings-fd", type=int, required=True)
        child.add_argument("--life-fd", type=int, required=True)
    front.add_argument("--listen-fd", type=int, required=True)
    front.add_argument("--name", required=True)
    host.set_defaults(command=run_host)
    front.set_defaults(command=run_front)
    return parser


def run_host(given: argparse.Namespace) -> int:
    chosen = handed_settings.take(given.settings_fd)
    logs.configure(chosen.log, "host")
    try:
        with opened_tracer(chosen.otel, "host") as tracer:
            logs.run(_host(LifeLine(given.life_fd), given.state_dir, chosen, tracer))
    except HostRunning as error:
        raise Failed(str(error)) from None
    return 0


async def _host(life: LifeLine, state_dir: Path, chosen: Settings, tracer: Tracer | None) -> None:
    # the host outlives its supervisor: on the line it only says that it is ready
    with contextlib.closing(life):
        await Host(state_dir, chosen.bridge, __version__, owned=True, tracer=tracer).run(life.say_ready)


def run_front(given: argparse.Namespace) -> int:
    from kernelwire.front import run_front

    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _end_with_supervisor()
    chosen = handed_settings.take(given.settings_fd)
    logs.configure(chosen.log, given.name)
    listener = socket.socket(fileno=given.listen_fd)
    listener.set_inheritable(False)
    with opened_tracer(chosen.otel, "front") as tracer:
        logs.run(run_front(listener, LifeLine(given.life_fd), given.state_dir, chosen, given.name, tracer))
    return 0


def _end_with_supervisor() -> None:
    """A front that is stopped or loops would hold the port when the supervisor is gone: the system ends it then.

    If it was gone before, the life line says so. Source: PR_SET_PDEATHSIG(2const).
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
