"""A session's record, `sessions/<sid>/session.json`: whose it is and what it runs (DESIGN.md, decision 4)."""

import errno
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from kernel_bridge.errors import LimitExceeded
from kernel_bridge.files import write_atomically
from kernel_bridge.results import Share

NAME = "session.json"


class SessionRecord(Struct, frozen=True):
    """`owner` is a user id, `owner_name` that user's name when the session was opened. `workdir` names the directory of
    the user's files, made when a kernel first starts: then it may be another one, as a kernel of the pool has brought
    its own.
    """

    id: str
    owner: str
    kernelspec: str
    workdir: str
    created_at: str
    shares: list[Share] = []
    closed: bool = False
    owner_name: str = ""
    uid: int | None = None
    """user of the system that its kernels run as, and that its files belong to; None: it has had none yet, or there are
    none (session_users)"""
    v: int = 1


def short_id(session: str) -> str:
    """How logs name a session: the first 8 characters of what is its own, as the host's id is the same for all."""
    return session.rpartition(".")[2][:8]


def store(directory: Path, record: SessionRecord) -> None:
    """Write the record into `directory` (made if missing), whole or not at all.

    Raises LimitExceeded(disk) when there is no room, OSError for other faults.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(directory / NAME, msgspec.json.encode(record))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise LimitExceeded("disk", None, "no space on the host's disk: delete sessions or free some") from error


def load_all(sessions: Path) -> tuple[list[SessionRecord], list[Path]]:
    """All readable records below `sessions`, oldest first, and the directories whose record is not readable."""
    records: list[SessionRecord] = []
    broken: list[Path] = []
    if not sessions.is_dir():
        return records, broken
    with os.scandir(sessions) as entries:
        for entry in entries:
            try:
                record = msgspec.json.decode((Path(entry.path) / NAME).read_bytes(), type=SessionRecord)
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
                broken.append(Path(entry.path))
                continue
            if record.id == entry.name:
                records.append(record)
            else:
                broken.append(Path(entry.path))
    records.sort(key=lambda record: (record.created_at, record.id))
    return records, broken
