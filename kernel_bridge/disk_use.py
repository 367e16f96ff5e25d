"""How much room a directory takes, as far as a bounded look tells."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 1.0
ENTRIES = 500_000
BLOCK = 512
"""bytes; what st_blocks counts in, see stat(2)"""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """`bytes`: of disk blocks, so that a hole costs nothing. `whole`: False if there was no time to see all of it."""

    bytes: int
    whole: bool


def measure(directory: Path, *, look_s: float = LOOK_S, entries: int = ENTRIES) -> DiskUse:
    """Blocks, for `look_s` at most. Follows no links; what cannot be read, or is gone meanwhile, is not counted."""
    deadline = time.monotonic() + look_s
    total = seen = 0
    todo = [str(directory)]
    while todo:
        try:
            with os.scandir(todo.pop()) as found:
                for entry in found:
                    seen += 1
                    if seen > entries or time.monotonic() > deadline:
                        return DiskUse(total, whole=False)
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * BLOCK
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(entry.path)
                    except OSError:
                        continue
        except OSError:
            continue
    return DiskUse(total, whole=True)
