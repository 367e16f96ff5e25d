"""`kernelwire user`: users of a state directory, from a terminal or a script."""

import contextlib
import getpass
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Literal

from auth import bootstrap, passwords
from auth.database import Database, default_url
from auth.settings import AuthSettings
from auth.users import Users
from kernelwire.errors import BadInput

_CHANGED = {
    "disable": "disabled; its tokens are no longer valid",
    "enable": "enabled; its tokens that have not expired are valid again",
    "remove": "removed; its tokens are no longer valid",
}


@contextlib.contextmanager
def opened(state_dir: Path, settings: AuthSettings) -> Generator[Users]:
    """The users of `state_dir`, which is made if need be. Raises AuthError."""
    bootstrap.bootstrap(state_dir, settings)
    with contextlib.closing(Database(settings.database_url or default_url(state_dir))) as database:
        yield Users(database)


def set_password(users: Users, name: str, *, new: bool, from_stdin: bool) -> None:
    """Add a user, or give one a new password. Raises AuthError, BadInput."""
    password = _from_stdin() if from_stdin else _from_terminal()
    hashed = passwords.hash(password)
    if new:
        users.add(name, hashed)
    else:
        users.set_password(name, hashed)
    print(f"user {name} {'added' if new else 'has a new password; its tokens are no longer valid'}")  # noqa: T201


def change(users: Users, name: str, action: Literal["disable", "enable", "remove"], state_dir: Path) -> None:
    """A disabled or removed user cannot log in, and none of the user's tokens is valid: where the service runs,
    within 2 s.

    Sessions and running cells go on until they are closed or culled. Raises AuthError.
    """
    if action == "remove":
        users.remove(name)
        if users.is_empty():
            # The next start makes a new admin, which must not get the password of one who was removed
            bootstrap.forget_admin_password(state_dir)
    else:
        users.set_disabled(name, action == "disable")
    print(f"user {name} {_CHANGED[action]}")  # noqa: T201
    if action == "remove" and users.is_empty():
        print("no user is left: the next start, or `kernelwire user`, makes `admin` with a new password")  # noqa: T201


def show(users: Users) -> None:
    """One line a user: name, id, since when, and whether disabled."""
    for user in users.all():
        state = "disabled" if user.disabled else "enabled"
        print(f"{user.name}\t{user.id}\t{user.created_at:%Y-%m-%dT%H:%M:%SZ}\t{state}")  # noqa: T201


def _from_stdin() -> str:
    """The first line of standard input, without its end."""
    line = sys.stdin.readline(1 << 16)
    if not line:
        raise BadInput("--password-stdin: expected the password on standard input, got nothing")
    return line.rstrip("\r\n")


def _from_terminal() -> str:
    if not sys.stdin.isatty():
        raise BadInput("no terminal to ask for the password: pipe it in and add --password-stdin")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Once more: "):
        raise BadInput("the two passwords differ")
    return password
