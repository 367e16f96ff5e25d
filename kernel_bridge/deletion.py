"""A session's files on their way out: a deletion that has begun is brought to its end, by the next host if need be."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from kernel_bridge.ownership import remove_tree
from kernel_bridge.record import NAME, SessionRecord

DELETED = ".deleted"
"""ends the name of a directory whose session is gone; no session's id does"""

log = logging.getLogger("kernelwire.bridge.deletion")


def delete(directory: Path, workdirs: Path, record: SessionRecord) -> None:
    """Remove a session's directory and the user's files. Blocks; what cannot be removed is left."""
    deleted = directory.with_name(directory.name + DELETED)
    try:
        directory.rename(deleted)
    except OSError:
        deleted = directory
    _remove(deleted, workdirs, record)


def is_deleted(directory: Path) -> bool:
    """Whether a host died when it deleted this session."""
    return directory.name.endswith(DELETED)


def finish(directory: Path, workdirs: Path) -> None:
    """Go on with a deletion of a host that died. Blocks."""
    record: SessionRecord | None = None
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        record = msgspec.json.decode((directory / NAME).read_bytes(), type=SessionRecord)
    _remove(directory, workdirs, record)


def _remove(directory: Path, workdirs: Path, record: SessionRecord | None) -> None:
    if record is not None:  # first, as the record alone says which it is
        try:
            remove_tree(workdirs / record.workdir)
        except FileNotFoundError:
            pass
        except OSError as error:  # the record stays, so that the next host can try again
            log.warning("files_not_removed directory=%s error=%s", directory.name, error.strerror)
            return
    shutil.rmtree(directory, ignore_errors=True)
