"""The state directory: whose it is, who can read it, how much room it has, and its database."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from auth.database import DATABASE_FILE, Database, default_url
from auth.errors import AuthError, DatabaseUnavailable
from auth.users import Users
from kernel_bridge import runtime_dir
from kernel_bridge.connection import SOCKET_PATH_BYTES
from kernel_bridge.session_users import OPEN
from kernelwire import logins, serve_file
from kernelwire.doctor.finding import Finding, fine, problem, warning
from kernelwire.settings import Resolved

PRIVATE = ("secret", "hop-secret", "admin-password", "host.json", "host-id", serve_file.NAME, logins.NAME)
DATABASE_FILES = tuple(DATABASE_FILE + end for end in ("", "-wal", "-shm"))
LITTLE_BYTES = 1 << 30
TOO_LITTLE_BYTES = 100 << 20


def check(chosen: Resolved) -> Iterator[Finding]:
    place = chosen.state_dir
    directory = _directory(place)
    yield directory
    yield _room(place)
    if directory.status == "ok" and place.exists():
        yield _modes(place)
        yield _database(chosen)
        yield _sockets(place)


def _directory(place: Path) -> Finding:
    try:
        found = place.lstat()
    except FileNotFoundError:
        return _parent(place)
    except OSError as error:
        return problem("state", f"{place}: {error.strerror}", "choose another --state-dir")
    if not stat.S_ISDIR(found.st_mode):
        return problem("state", f"{place} is not a directory", "choose another --state-dir")
    if found.st_uid != os.geteuid():
        text = f"{place} belongs to user {found.st_uid}, this is user {os.geteuid()}"
        return problem("state", text, "run as its owner, or choose another --state-dir")
    mode = stat.S_IMODE(found.st_mode)
    if mode not in (0o700, OPEN):
        return problem("state", f"{place} has mode {mode:04o}, expected 0700", f"chmod 700 {place}")
    return fine("state", f"{place}, mode {mode:04o}")


def _parent(place: Path) -> Finding:
    there = _existing(place)
    if os.access(there, os.W_OK | os.X_OK):
        return fine("state", f"{place} is not there yet; the first `kernelwire serve` makes it")
    return problem("state", f"{place} is not there, and {there} is not writable", "choose another --state-dir")


def _modes(place: Path) -> Finding:
    """Of what only the owner may read; the directory's own mode is the first wall, this is the second."""
    there = [place / name for name in (*PRIVATE, *DATABASE_FILES) if (place / name).is_file()]
    open_ones = [path.name for path in there if path.lstat().st_uid != os.geteuid() or path.lstat().st_mode & 0o077]
    if open_ones:
        return problem(
            "secrets", f"open to others: {', '.join(open_ones)}", f"cd {place} && chmod 600 {_words(open_ones)}"
        )
    return fine("secrets", f"{len(there)} private files, for their owner only")


def _words(names: list[str]) -> str:
    return " ".join(names)


def _room(place: Path) -> Finding:
    free = shutil.disk_usage(_existing(place)).free
    text = f"{free / 1e9:.1f} GB free for {place}"
    if free < TOO_LITTLE_BYTES:
        return problem("disk", text, "free some, or choose a --state-dir elsewhere: output and new cells are refused")
    if free < LITTLE_BYTES:
        mend = "free some, or lower bridge.retention_bytes, the output that is kept for each session"
        return warning("disk", text, mend)
    return fine("disk", text)


def _database(chosen: Resolved) -> Finding:
    url = chosen.settings.auth.database_url
    if url is None and not (chosen.state_dir / DATABASE_FILE).exists():
        return fine("database", "is not there yet; the first `kernelwire serve` makes it")
    try:
        with contextlib.closing(Database(url or default_url(chosen.state_dir))) as database:
            if not database.is_current():
                return fine("database", "of an older kernelwire; the next `kernelwire serve` brings it up to date")
            users = Users(database).all()
    except DatabaseUnavailable as error:
        mend = "is its file there, readable and whole? Put a backup in its place if not"
        return problem("database", f"does not answer: {error.reason}", mend)
    except AuthError as error:
        return problem("database", str(error), "see the settings: kernelwire config --show-origin")
    disabled = sum(user.disabled for user in users)
    return fine("database", f"answers; users: {len(users)}, disabled: {disabled}")


def _sockets(place: Path) -> Finding:
    try:
        path = runtime_dir.find(place)
    except FileNotFoundError:
        return fine("sockets", "their directory is made at the start, in $XDG_RUNTIME_DIR, /run or /tmp")
    except OSError as error:
        return problem("sockets", str(error), f"stop the service, then remove {place / runtime_dir.NAME_FILE}")
    length = len(os.fsencode(path)) + 1 + runtime_dir.SOCKET_NAME_BYTES
    text = f"{path}, paths of at most {length} of {SOCKET_PATH_BYTES} bytes"
    if length > SOCKET_PATH_BYTES:
        return problem("sockets", text, "set XDG_RUNTIME_DIR to a shorter path and start the service again")
    return fine("sockets", text)


def _existing(place: Path) -> Path:
    """`place`, or the nearest folder above it that is there."""
    return next(path for path in (place, *place.parents) if path.exists())
