"""The secret: the keys that tokens are signed with, in `<state>/secret`.

One key a line, hexadecimal, newest last. The last one signs, all of them verify, so that a key is replaced by
adding a line and the old one removed when its last token has expired.
"""

import re
import secrets
from pathlib import Path

from msgspec import Struct

from auth.errors import StateDirUnusable
from auth.private_files import create_once, make_private_dir, read_private

SECRET_FILE = "secret"  # noqa: S105 - a file's name
_KEY_BYTES = 32
_KEY = re.compile(rb"(?:[0-9a-f]{2}){32,128}")


class Keys(Struct, frozen=True):
    """Keys of 32 to 128 bytes, newest last, at least one."""

    keys: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Keys({len(self.keys)} hidden)"


def load_or_create(state_dir: Path) -> Keys:
    """The keys in `state_dir`, which is made (mode 0700) if need be. Processes that start at once get the same.

    Raises: StateDirInsecure, StateDirUnusable (also: the file holds something else than keys).
    """
    make_private_dir(state_dir)
    path = state_dir / SECRET_FILE
    return _parse(path, create_once(path, secrets.token_hex(_KEY_BYTES).encode() + b"\n"))


def load(state_dir: Path) -> Keys:
    """The keys in `state_dir`; nothing is made.

    Raises: StateDirInsecure, StateDirUnusable (also: there is no secret).
    """
    path = state_dir / SECRET_FILE
    try:
        return _parse(path, read_private(path))
    except FileNotFoundError as error:
        raise StateDirUnusable(path, "there is no secret; the first `kernelwire serve` makes it") from error


def _parse(path: Path, content: bytes) -> Keys:
    lines = content.split()
    if not lines or not all(_KEY.fullmatch(line) for line in lines):
        raise StateDirUnusable(path, "expected one key a line, each 64 or more hexadecimal digits")
    return Keys(tuple(bytes.fromhex(line.decode()) for line in lines))
