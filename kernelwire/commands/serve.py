"""`kernelwire serve`: the whole service, until Ctrl-C."""

import argparse
import contextlib
from pathlib import Path

from kernelwire.commands.options import Subparsers, resolved, shared


def add(commands: Subparsers) -> None:
    serve = commands.add_parser(
        "serve",
        parents=[shared()],
        help="run the service",
        description="Run the service until Ctrl-C; a second Ctrl-C forces.",
        epilog="example: kernelwire serve --port 8787",
    )
    serve.add_argument(
        "--host", metavar="ADDRESS", help="default: 127.0.0.1; other than loopback only with TLS or a proxy"
    )
    serve.add_argument("--port", type=_port, help="0: any free one (default: 8787)")
    serve.add_argument("--workers", metavar="N", help="fronts that share the port (default: 1)")
    serve.add_argument("--tls-cert", metavar="FILE", help="certificate and chain (PEM): speak TLS")
    serve.add_argument("--tls-key", metavar="FILE", help="its key (PEM), which nobody else may read")
    serve.add_argument(
        "--behind-proxy",
        action="store_const",
        const="true",
        help="believe the X-Forwarded-* headers of the proxy that all clients come through",
    )
    serve.add_argument(
        "--insecure-shared-uid",
        action="store_true",
        help="serve several users even if nothing keeps their kernels apart",
    )
    serve.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    from kernelwire import first_owner, logs, service_user, tls
    from kernelwire.listener import bind
    from kernelwire.supervisor import Supervisor

    chosen = resolved(
        given,
        serve__host=given.host,
        serve__port=given.port,
        serve__workers=given.workers,
        serve__tls_cert=_absolute(given.tls_cert),
        serve__tls_key=_absolute(given.tls_key),
        rpc__behind_proxy=given.behind_proxy,
    )
    logs.configure(chosen.settings.log, "serve")
    serve = chosen.settings.serve
    # the fronts read them again: here it is seen whether they can be
    certificate = tls.of_settings(serve.tls_cert, serve.tls_key)
    shielded = certificate is not None or chosen.settings.rpc.behind_proxy
    user = service_user.choose(serve.user, chosen.state_dir)
    with contextlib.closing(bind(serve.host, serve.port, shielded=shielded)) as listener:
        first_owner.settle(chosen, user)
        supervisor = Supervisor(
            listener, chosen.state_dir, chosen.settings, user, insecure_shared_uid=given.insecure_shared_uid
        )
        logs.run(supervisor.run())
    return 0


def _absolute(path: str | None) -> str | None:
    """What is typed is meant from here; a setting in a file is not."""
    return str(Path(path).expanduser().absolute()) if path else path


def _port(text: str) -> str:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("expected a port from 0 to 65535")
    return text
