"""`<state>/client.json`: the tokens that `kernelwire login` got, one a service, for `kernelwire call`.

A token is found only for the service that gave it, so it is never sent to another.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from auth.errors import StateDirUnusable
from auth.private_files import make_private_dir, read_private
from kernel_bridge.files import write_atomically
from kernelwire.service_address import Address

NAME = "client.json"
_HERE = "here"


class Login(Struct, frozen=True):
    """What `login` answered. The token stays out of repr."""

    user: str
    token: str
    session: str
    expires_at: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, token=hidden)"


class _File(Struct, frozen=True):
    logins: dict[str, Login]
    v: int = 1


def find(state_dir: Path, address: Address) -> Login | None:
    """The login at this service; None: there is none. Raises StateDirInsecure, StateDirUnusable."""
    return _read(state_dir).get(_key(address))


def keep(state_dir: Path, address: Address, login: Login) -> None:
    """In place of an earlier one at the same service. Mode 0600, in a directory of mode 0700, made if need be.

    Raises StateDirInsecure, StateDirUnusable, OSError.
    """
    make_private_dir(state_dir)
    _write(state_dir, {**_read(state_dir), _key(address): login})


def forget(state_dir: Path, address: Address) -> None:
    """Idempotent. Raises StateDirInsecure, StateDirUnusable, OSError."""
    kept = _read(state_dir)
    if kept.pop(_key(address), None) is not None:
        _write(state_dir, kept)


def _key(address: Address) -> str:
    return _HERE if address.here else address.url


def _read(state_dir: Path) -> dict[str, Login]:
    path = state_dir / NAME
    try:
        return msgspec.json.decode(read_private(path), type=_File).logins
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError:
        raise StateDirUnusable(path, "it is not what `kernelwire login` writes; remove it and log in again") from None


def _write(state_dir: Path, logins: dict[str, Login]) -> None:
    write_atomically(state_dir / NAME, msgspec.json.encode(_File(logins)))
