"""`kernelwire logout`: the end of the token that `kernelwire login` keeps."""

import argparse

from kernelwire.commands.call import add_url
from kernelwire.commands.options import Subparsers, resolved, say, shared


def add(commands: Subparsers) -> None:
    logout = commands.add_parser(
        "logout",
        parents=[shared()],
        help="end the token of `kernelwire login`",
        description="End the token of `kernelwire login` and forget it; the session and its cells go on.",
        epilog="example: kernelwire logout",
    )
    add_url(logout)
    logout.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    from kernelwire import credentials, json_rpc, logins, service_address, service_user

    chosen = resolved(given)
    owner = service_user.owner_at_work(chosen.state_dir)
    with credentials.acting_as(owner):
        address = service_address.find(given.url, chosen.state_dir)
        login = logins.find(chosen.state_dir, address)
    if login is None:
        say(f"nobody is logged in at {address.url}")
        return 0
    try:
        json_rpc.call(address.url, "logout", {}, login.token, certificate=address.certificate)
    except json_rpc.CallFailed as failure:
        if failure.error.code != json_rpc.INVALID_TOKEN:  # else it has ended already
            raise
    with credentials.acting_as(owner):
        logins.forget(chosen.state_dir, address)
    say(f"{login.user} is logged out at {address.url}; session {login.session} and its cells are as they were")
    return 0
