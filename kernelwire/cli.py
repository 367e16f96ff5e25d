"""The command line: `kernelwire serve`, `kernelwire user ...`. Exit codes: 0 done, 1 failed, 2 wrong usage."""

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from auth.errors import AuthError
from kernel_bridge.host import Host, HostRunning
from kernelwire import __version__, settings, users
from kernelwire.child import LifeLine
from kernelwire.front import run_front
from kernelwire.supervisor import CannotServe, Supervisor, bind

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    command: Command = given.command
    try:
        return command(given)
    except (CannotServe, HostRunning, settings.BadSetting, AuthError, users.BadInput) as error:
        print(f"kernelwire: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"kernelwire: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kernelwire", description="JSON-RPC 2.0 over HTTP to live Jupyter kernels.")
    parser.add_argument("--version", action="version", version=f"kernelwire {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    state = argparse.ArgumentParser(add_help=False)
    state.add_argument("--state-dir", metavar="DIR", help=f"where everything is kept (also: {settings.STATE_DIR})")

    serve = commands.add_parser(
        "serve",
        parents=[state],
        help="run the service",
        description="Run the service until Ctrl-C; a second Ctrl-C forces.",
        epilog="example: kernelwire serve --port 8787",
    )
    serve.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8787, help="0: any free one (default: %(default)s)")
    serve.set_defaults(command=_serve)

    user = commands.add_parser(
        "user", help="add users, set passwords, list users", epilog="example: kernelwire user add alice"
    )
    actions = user.add_subparsers(metavar="ACTION", required=True)
    for name, words in (("add", "add a user"), ("passwd", "set a user's password; all tokens of the user end")):
        action = actions.add_parser(name, parents=[state], help=words, description=words)
        action.add_argument("name", metavar="NAME")
        action.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        action.set_defaults(command=_user, action=name)
    listing = actions.add_parser("list", parents=[state], help="list all users", description="list all users")
    listing.set_defaults(command=_user, action="list")

    host = commands.add_parser("_host", parents=[state])
    host.add_argument("--life-fd", type=int, required=True)
    host.set_defaults(command=_host)
    front = commands.add_parser("_front", parents=[state])
    front.add_argument("--life-fd", type=int, required=True)
    front.add_argument("--listen-fd", type=int, required=True)
    front.set_defaults(command=_front)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("expected a port from 0 to 65535")
    return port


def _serve(given: argparse.Namespace) -> int:
    _log_to_stderr(logging.WARNING)
    chosen = settings.load()
    with contextlib.closing(bind(given.host, given.port)) as listener:
        asyncio.run(_supervise(listener, settings.state_dir(given.state_dir), chosen))
    return 0


async def _supervise(listener: socket.socket, state_dir: Path, chosen: settings.Settings) -> None:
    await Supervisor(listener, state_dir, chosen).run()


def _user(given: argparse.Namespace) -> int:
    state_dir = settings.state_dir(given.state_dir)
    with users.opened(state_dir, settings.load().auth) as store:
        if given.action == "list":
            users.show(store)
        else:
            users.set_password(store, given.name, new=given.action == "add", from_stdin=given.password_stdin)
    return 0


def _host(given: argparse.Namespace) -> int:
    _log_to_stderr(logging.INFO)
    asyncio.run(_run_host(LifeLine(given.life_fd), settings.state_dir(given.state_dir), settings.load()))
    return 0


async def _run_host(life: LifeLine, state_dir: Path, chosen: settings.Settings) -> None:
    # the host outlives its supervisor: its end of the line is closed as soon as it has said that it is ready
    with contextlib.closing(life):
        host = Host(state_dir, chosen.bridge, __version__, owned=True)

        def announce() -> None:
            life.say_ready()

        await host.run(announce)


def _front(given: argparse.Namespace) -> int:
    _log_to_stderr(logging.INFO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(fileno=given.listen_fd)
    listener.set_inheritable(False)
    asyncio.run(run_front(listener, LifeLine(given.life_fd), settings.state_dir(given.state_dir), settings.load()))
    return 0


def _log_to_stderr(level: int) -> None:
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
