"""What a directory holds of an event log after whatever ended its last owner."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kernel_bridge.line_file import cut_torn_tail
from kernel_bridge.segment import Segment, load_segment

_NAME = re.compile(r"events-([0-9]{1,18})\.jsonl")


@dataclass(slots=True)
class Recovered:
    """`segments` in order, the last one to be written on; `torn_bytes`: what was cut off its end."""

    segments: list[Segment] = field(default_factory=list[Segment])
    newest: int = 0
    torn_bytes: int = 0


def segment_path(directory: Path, first: int) -> Path:
    """Where the segment that begins with event `first` lies; names sort as the segments do."""
    return directory / f"events-{first:012d}.jsonl"


def recover(directory: Path) -> Recovered:
    """The segments in `directory`; the last line of the newest is cut off if it is torn.

    A file without a whole header is no segment (a full disk stopped it there), but as the newest one it still says
    which seq comes next. Older segments that cannot be read are left out.

    Raises:
        OSError: the directory or the newest segment cannot be read.
    """
    names = sorted((int(match[1]), path) for path in directory.iterdir() if (match := _NAME.fullmatch(path.name)))
    found = Recovered()
    size = 0
    while names and not size:
        first, path = names[-1]
        size, torn = cut_torn_tail(path)
        found.torn_bytes += torn
        found.newest = max(found.newest, first - 1)
        if not size:
            names.pop()
    for first, path in names[:-1]:
        with suppress(OSError):
            older = load_segment(path, first, path.stat().st_size, _bytes_before(found))
            if older.size:  # else it was begun on a full disk
                found.segments.append(older)
    if names:
        first, path = names[-1]
        newest = load_segment(path, first, size, _bytes_before(found))
        found.newest = max(found.newest, newest.last_seq())
        found.segments.append(newest)
    return found


def _bytes_before(found: Recovered) -> int:
    return found.segments[-1].bytes_before + found.segments[-1].event_bytes if found.segments else 0
