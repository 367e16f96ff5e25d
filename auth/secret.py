"""The secret: the keys that tokens are signed with, in `<state>/secret`.

One key a line, newest last: hexadecimal, then when it was made (seconds since the epoch; files of the first versions
lack it). The last one signs, all of them verify, so that tokens of a key that was replaced go on until they expire.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Generator
from pathlib import Path

from msgspec import Struct

from auth.errors import StateDirUnusable
from auth.private_files import create_once, make_private_dir, read_private, replace

SECRET_FILE = "secret"  # noqa: S105 - a file's name
_KEY_BYTES = 32
_LINE = re.compile(rb"((?:[0-9a-f]{2}){32,128})(?:[ \t]+([0-9]{1,12}))?[ \t\r]*")


class Keys(Struct, frozen=True):
    """Keys of 32 to 128 bytes, newest last, at least one. `made_at`: seconds since the epoch, 0 where nobody knows."""

    keys: tuple[bytes, ...]
    made_at: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"Keys({len(self.keys)} hidden)"

    @property
    def ids(self) -> tuple[str, ...]:
        """What they are called: nothing of a key can be learnt from it."""
        return tuple(hashlib.sha256(b"kernelwire key id" + key).hexdigest()[:8] for key in self.keys)

    @property
    def times(self) -> tuple[int, ...]:
        """`made_at`, one for each key."""
        return (*self.made_at, *(0 for _ in self.keys))[: len(self.keys)]


def load_or_create(state_dir: Path, now: float = 0.0) -> Keys:
    """The keys in `state_dir`, which is made (mode 0700) if need be. Processes that start at once get the same.

    `now`: seconds since the epoch, noted of a key that is made. Raises: StateDirInsecure, StateDirUnusable (also: the
    file holds something else than keys).
    """
    make_private_dir(state_dir)
    path = state_dir / SECRET_FILE
    return _parse(path, create_once(path, _line(secrets.token_bytes(_KEY_BYTES), int(now))))


def load(state_dir: Path) -> Keys:
    """The keys in `state_dir`; nothing is made.

    Raises: StateDirInsecure, StateDirUnusable (also: there is no secret).
    """
    path = state_dir / SECRET_FILE
    try:
        return _parse(path, read_private(path))
    except FileNotFoundError as error:
        raise StateDirUnusable(path, "there is no secret; the first `kernelwire serve` makes it") from error


def rotate(state_dir: Path, now: float, longest_s: int, *, revoke: bool) -> Keys:
    """A new key signs from now on; the keys as they are then. `revoke`: the others are dropped, with their tokens.

    Else those are dropped that signed nothing for `longest_s`, the longest life of a token. Two rotations at once wait
    for each other. Raises: StateDirInsecure, StateDirUnusable.
    """
    with _locked(state_dir):
        old = load(state_dir)
        fresh = (secrets.token_bytes(_KEY_BYTES), int(now))
        pairs = [] if revoke else _still_used(old, now, longest_s)
        kept = [*pairs, fresh]
        replace(state_dir / SECRET_FILE, b"".join(_line(key, made_at) for key, made_at in kept))
        return Keys(tuple(key for key, _ in kept), tuple(made_at for _, made_at in kept))


class KeyFile:
    """The secret of a state directory while a front runs: is it another one by now?"""

    def __init__(self, state_dir: Path) -> None:
        """Raises: StateDirInsecure, StateDirUnusable."""
        self._state_dir = state_dir
        self._seen = self._signature()
        self.keys = load(state_dir)

    def changed(self) -> Keys | None:
        """The keys if the file is another one than at the last call, else None. A look costs some 5 us.

        Raises: StateDirInsecure, StateDirUnusable: once for each change; the keys before it stay.
        """
        found = self._signature()
        if found == self._seen:
            return None
        self._seen = found
        self.keys = load(self._state_dir)
        return self.keys

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            found = (self._state_dir / SECRET_FILE).lstat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _still_used(old: Keys, now: float, longest_s: int) -> list[tuple[bytes, int]]:
    """A key signed its last token when the next one was made; the newest one just now."""
    replaced_at = [*old.times[1:], int(now)]
    return [
        (key, made_at)
        for key, made_at, ended in zip(old.keys, old.times, replaced_at, strict=True)
        if not ended or now - ended < longest_s  # 0: nobody knows
    ]


def _line(key: bytes, made_at: int) -> bytes:
    return f"{key.hex()} {made_at}\n".encode() if made_at else key.hex().encode() + b"\n"


def _parse(path: Path, content: bytes) -> Keys:
    lines = [line for line in content.split(b"\n") if line.strip()]
    found = [_LINE.fullmatch(line) for line in lines]
    known = [match for match in found if match is not None]
    if not known or len(known) < len(found):
        raise StateDirUnusable(path, "expected one key a line, each 64 or more hexadecimal digits")
    return Keys(
        tuple(bytes.fromhex(match[1].decode()) for match in known), tuple(int(match[2] or 0) for match in known)
    )


@contextlib.contextmanager
def _locked(state_dir: Path) -> Generator[None]:
    """Alone in the directory, as far as rotations go. Raises: StateDirUnusable."""
    try:
        fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StateDirUnusable(state_dir, error.strerror or str(error)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
