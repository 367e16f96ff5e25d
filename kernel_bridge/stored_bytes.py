"""What each user's sessions take on the disk: records and logs, closed sessions too; not the files of the user's own.

Each session tells what it takes when a cell begins or ends and now and then besides, so that no event costs anything,
and nobody walks through all sessions. Between two tellings a session may grow by what its log may keep.
"""

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class StoredBytes:
    """By user id."""

    _users: Counter[str] = field(default_factory=Counter[str])

    def of(self, user_id: str) -> int:
        """All his sessions together."""
        return self._users.get(user_id, 0)

    def share(self, user_id: str) -> "StoredShare":
        """One session's part."""
        return StoredShare(self._users, user_id)


class StoredShare:
    """It is told how much there is, not what was added, so that a call too few mends itself."""

    __slots__ = ("_told", "_user_id", "_users")

    def __init__(self, users: Counter[str], user_id: str) -> None:
        self._users = users
        self._user_id = user_id
        self._told = 0

    def update(self, size: int) -> None:
        """The session takes `size` bytes now; 0: it is gone."""
        self._users[self._user_id] += size - self._told
        self._told = size
        if not self._users[self._user_id]:
            del self._users[self._user_id]


def size_of(directory: Path) -> int:
    """Bytes of the files in a session's directory, as far as they can be looked at."""
    total = 0
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total
