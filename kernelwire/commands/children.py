"""`kernelwire _host`, `_front` and `_set_up`: what the supervisor starts; nobody types them.

Each imports what it needs when it runs: what another one needs would lie in its memory for as long as it lives.
"""

import argparse
import contextlib
import ctypes
import signal
import socket
import sys
from collections.abc import Collection
from pathlib import Path

from auth.errors import AuthError, DatabaseUnavailable
from kernelwire import __version__, credentials, handed_settings, logs
from kernelwire.credentials import Identity
from kernelwire.errors import CannotServe, Failed, words_of
from kernelwire.life_line import LifeLine
from kernelwire.service_user import kept_by_host
from kernelwire.tracing import opened_tracer

_PR_SET_PDEATHSIG = 1


def make_parser() -> argparse.ArgumentParser:
    """A parser of their own, so that help and completion of the others know nothing of them."""
    parser = argparse.ArgumentParser(prog="kernelwire")
    commands = parser.add_subparsers(required=True)
    host, front, set_up, end_kernels = (
        commands.add_parser(name) for name in ("_host", "_front", "_set_up", "_end_kernels")
    )
    for child in (host, front, set_up, end_kernels):
        child.add_argument("--run-as", type=Identity.parse, metavar="UID:GID")
        child.add_argument("--state-dir", type=Path, required=True)
        child.add_argument("--settings-fd", type=int, required=True)
    for child in (host, front):
        child.add_argument("--life-fd", type=int, required=True)
    front.add_argument("--listen-fd", type=int, required=True)
    front.add_argument("--name", required=True)
    set_up.add_argument("--insecure-shared-uid", action="store_true")
    host.set_defaults(command=run_host)
    front.set_defaults(command=run_front)
    set_up.set_defaults(command=run_set_up)
    end_kernels.set_defaults(command=run_end_kernels)
    return parser


def run_host(given: argparse.Namespace) -> int:
    chosen = handed_settings.take(given.settings_fd)
    _become(given, kept_by_host(chosen))
    from kernel_bridge.host import Host, HostRunning

    logs.configure(chosen.log, "host")
    # the host outlives its supervisor: on the line it only says that it is ready
    with opened_tracer(chosen.otel, "host") as tracer, contextlib.closing(LifeLine(given.life_fd)) as life:
        host = Host(given.state_dir, chosen.bridge, __version__, owned=True, tracer=tracer)
        try:
            logs.run(host.run(life.say_ready))
        except HostRunning as error:
            raise Failed(str(error)) from None
    return 0


def run_front(given: argparse.Namespace) -> int:
    chosen = handed_settings.take(given.settings_fd)
    _become(given, hidden=True)  # keys are in its memory, that of TLS in a file that it holds open
    from kernelwire.front import run_front

    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _end_with_supervisor()  # after the change of user, which would undo it
    logs.configure(chosen.log, given.name)
    listener = socket.socket(fileno=given.listen_fd)
    listener.set_inheritable(False)
    with opened_tracer(chosen.otel, "front") as tracer:
        logs.run(run_front(listener, LifeLine(given.life_fd), given.state_dir, chosen, given.name, tracer))
    return 0


def run_set_up(given: argparse.Namespace) -> int:
    """Its answer goes to standard output; what it fails with, the supervisor says."""
    chosen = handed_settings.take(given.settings_fd)
    _become(given)
    from auth.bootstrap import bootstrap
    from kernelwire import separation
    from kernelwire.set_up import Answer, say

    logs.configure(chosen.log, "serve")
    try:
        found = bootstrap(given.state_dir, chosen.auth)
        if not given.insecure_shared_uid:
            separation.require(chosen.bridge.sandbox, found.users)
        answer = Answer(found.created, found.admin_password, found.users)
    except DatabaseUnavailable as error:  # its own words are for clients of a service that runs
        answer = Answer(failed=f"the database of users cannot be used: {error.reason} (`kernelwire doctor` says more)")
    except (AuthError, CannotServe) as error:
        answer = Answer(failed=str(error))
    except OSError as error:
        answer = Answer(failed=words_of(error))
    say(sys.stdout.fileno(), answer)
    return 0


def run_end_kernels(given: argparse.Namespace) -> int:
    """For those of a host that is gone."""
    import asyncio

    chosen = handed_settings.take(given.settings_fd)
    _become(given, kept_by_host(chosen))
    from kernel_bridge import leftovers

    logs.configure(chosen.log, "serve")
    asyncio.run(leftovers.end(given.state_dir, chosen.bridge.limits.cgroup))
    return 0


def _become(given: argparse.Namespace, keep: Collection[int] = (), *, hidden: bool = False) -> None:
    """The user that the supervisor says, before anything is imported, read or written that is not needed for it."""
    if given.run_as is not None:
        credentials.become(given.run_as, keep, hidden=hidden)


def _end_with_supervisor() -> None:
    """A front that is stopped or loops would hold the port when the supervisor is gone: the system ends it then.

    If it was gone before, the life line says so. Source: PR_SET_PDEATHSIG(2const).
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
