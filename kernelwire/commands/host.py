"""`kernelwire host`: a host alone, owned by nobody, for systemd, a Slurm job or a pod."""

import argparse
import os

from kernelwire import __version__
from kernelwire.commands.options import Subparsers, resolved, say, shared
from kernelwire.errors import Failed


def add(commands: Subparsers) -> None:
    host = commands.add_parser(
        "host",
        parents=[shared()],
        help="run kernels alone, for a serve that comes and goes",
        description="Run the host, which owns sessions and kernels, until Ctrl-C or SIGTERM. Any "
        "`kernelwire serve` on the same state directory uses it and leaves it running.",
        epilog="example: kernelwire host --state-dir /srv/kernelwire",
    )
    host.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    from auth.private_files import make_private_dir
    from kernel_bridge.host import Host, HostRunning
    from kernelwire import credentials, first_owner, logs, ownership, service_user
    from kernelwire.tracing import opened_tracer

    chosen = resolved(given)
    logs.configure(chosen.settings.log, "host")
    user = service_user.choose(chosen.settings.serve.user, chosen.state_dir)
    first_owner.settle(chosen, user)
    user.tell()
    if user.identity is not None:
        environment = user.environment(chosen.state_dir)
        os.environ.clear()
        os.environ.update(environment)
        credentials.become(user.identity, service_user.kept_by_host(chosen.settings))
        ownership.make_home(chosen.state_dir, user)
    make_private_dir(chosen.state_dir)
    try:
        with opened_tracer(chosen.settings.otel, "host") as tracer:
            host = Host(chosen.state_dir, chosen.settings.bridge, __version__, owned=False, tracer=tracer)
            logs.run(host.run(lambda: say(f"kernelwire {__version__} host on {chosen.state_dir}, pid {os.getpid()}")))
    except HostRunning as error:
        raise Failed(f"{error}: end it first, or choose another --state-dir") from None
    return 0
