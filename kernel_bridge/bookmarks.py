"""Where the readers of a log stopped, so that the next page of each begins there."""

MAX_BOOKMARKS = 64
"""positions that a log remembers; a reader whose one was forgotten costs a search in 64 KiB"""


class Bookmarks:
    """Offsets of lines in segments, by the event that is to be read next; those used last are kept.

    A segment is named by its first seq: the event behind the newest one may begin the next segment instead.
    """

    def __init__(self, max_bookmarks: int = MAX_BOOKMARKS) -> None:
        self._max_bookmarks = max_bookmarks
        self._offsets: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    def put(self, segment: int, seq: int, offset: int) -> None:
        """A line begins at `offset` in `segment`, and event `seq`, if it comes there, is not before it."""
        self._offsets.pop((segment, seq), None)
        self._offsets[segment, seq] = offset
        if len(self._offsets) > self._max_bookmarks:
            del self._offsets[next(iter(self._offsets))]

    def find(self, segment: int, seq: int) -> int | None:
        """The offset to read event `seq` from; None if it is not known."""
        offset = self._offsets.get((segment, seq))
        if offset is not None:
            self.put(segment, seq, offset)
        return offset
