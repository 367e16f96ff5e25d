"""`kernelwire login`: a token for `kernelwire call`, kept in a file of the user's own."""

import argparse
import getpass
import sys
from typing import Any

from kernelwire.commands.call import add_url
from kernelwire.commands.options import Subparsers, resolved, say, shared
from kernelwire.errors import BadInput

MAX_CHARACTERS = 1 << 16


def add(commands: Subparsers) -> None:
    login = commands.add_parser(
        "login",
        parents=[shared()],
        help="log in, for `kernelwire call`",
        description="Log in and keep the token (mode 0600, in the state directory) for `kernelwire call`.",
        epilog="example: kernelwire login alice",
    )
    add_url(login)
    login.add_argument("--session", metavar="ID", help="attach to this session instead of a new one")
    login.add_argument("--kernel", metavar="NAME", help="a kernelspec for the new session")
    login.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    login.add_argument("name", metavar="NAME", nargs="?", default="admin", help="a user (default: %(default)s)")
    login.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    import msgspec

    from kernelwire import credentials, json_rpc, logins, service_address, service_user

    chosen = resolved(given)
    owner = service_user.owner_at_work(chosen.state_dir)
    with credentials.acting_as(owner):
        address = service_address.find(given.url, chosen.state_dir)
    params: dict[str, Any] = {"username": given.name, "password": _password(given.name, given.password_stdin)}
    params |= {name: value for name in ("session", "kernel") if (value := getattr(given, name)) is not None}
    answer = msgspec.json.decode(
        json_rpc.call(address.url, "login", params, None, certificate=address.certificate), type=dict[str, Any]
    )
    kept = logins.Login(given.name, answer["token"], answer["session"], answer["expires_at"])
    with credentials.acting_as(owner):
        logins.keep(chosen.state_dir, address, kept)
    say(f"logged in at {address.url} as {given.name}, session {kept.session}, until {kept.expires_at}")
    return 0


def _password(name: str, from_stdin: bool) -> str:
    """Raises BadInput."""
    if from_stdin:
        line = sys.stdin.readline(MAX_CHARACTERS)
        if not line:
            raise BadInput("--password-stdin: expected the password on standard input, got nothing")
        return line.rstrip("\r\n")
    if not sys.stdin.isatty():
        raise BadInput("no terminal to ask for the password: pipe it in and add --password-stdin")
    return getpass.getpass(f"Password of {name}: ")
