"""When a session was last used, also for the next host: the time of its record's last change, saved now and then."""

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kernel_bridge.clock import utcnow

SAVE_EVERY_S = 60.0
"""what a crash of the host makes a session younger or older by, at most"""


class Activity:
    """`last` is the last activity; no call writes anything, `save` does.

    The time lies in the modification time of `file` (utimensat(2)), so that a backup restored without times makes
    sessions younger and never older.
    """

    def __init__(self, file: Path, created_at: str) -> None:
        self._file = file
        try:
            self.last = datetime.fromisoformat(created_at).astimezone(UTC)
        except (ValueError, OverflowError):  # a record that was damaged must not keep a host from starting
            self.last = utcnow()
        with contextlib.suppress(OSError, OverflowError, ValueError):
            self.last = max(self.last, datetime.fromtimestamp(file.stat().st_mtime, UTC))
        self._saved = self.last

    def touch(self, now: datetime) -> None:
        self.last = max(self.last, now)

    def save(self, *, at_once: bool = False) -> None:
        """Save it if it has changed by SAVE_EVERY_S, or at all. A file that is gone or read-only is left alone."""
        changed = self.last - self._saved
        if changed > timedelta(0) and (at_once or changed >= timedelta(seconds=SAVE_EVERY_S)):
            self._write()

    def rewritten(self) -> None:
        """The file was written anew: give it the time back."""
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            moment = self.last.timestamp()
            os.utime(self._file, (moment, moment))
        self._saved = self.last
