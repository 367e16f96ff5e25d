"""`kernelwire serve`: the whole service, until Ctrl-C."""

import argparse
import contextlib

from kernelwire.commands.options import Subparsers, resolved, shared


def add(commands: Subparsers) -> None:
    serve = commands.add_parser(
        "serve",
        parents=[shared()],
        help="run the service",
        description="Run the service until Ctrl-C; a second Ctrl-C forces.",
        epilog="example: kernelwire serve --port 8787",
    )
    serve.add_argument("--host", metavar="ADDRESS", help="a loopback address (default: 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="0: any free one (default: 8787)")
    serve.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    from kernelwire import logs
    from kernelwire.supervisor import Supervisor, bind

    chosen = resolved(given, serve__host=given.host, serve__port=given.port)
    logs.configure(chosen.settings.log, "serve")
    with contextlib.closing(bind(chosen.settings.serve.host, chosen.settings.serve.port)) as listener:
        logs.run(Supervisor(listener, chosen.state_dir, chosen.settings).run())
    return 0


def _port(text: str) -> str:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("expected a port from 0 to 65535")
    return text
