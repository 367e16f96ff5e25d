"""What memory knows of a session's ended cells: their order, which were inputs, which show displays."""

from bisect import bisect_right, insort
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from kernel_bridge.display_index import DisplayIndex

Key = tuple[int, int, str]
"""orders cells as they were queued: seq of the `queued` event, number in the file, id"""


class _Record(Struct, frozen=True):
    """Of a recorded cell what the index needs."""

    cell: str
    queued_seq: int = 0
    cursor: int = 0
    started_at: str | None = None
    silent: bool = False
    store_history: bool = True
    displays: dict[str, list[int]] = {}


_RECORD = msgspec.json.Decoder(_Record)


class CellIndex:
    """Some hundred bytes a cell. `learn` takes every record in the order of the file, again when it is rewritten."""

    def __init__(self) -> None:
        self.displays = DisplayIndex()
        self._keys: dict[str, Key] = {}
        self._cursors: dict[str, int] = {}
        self._order: list[Key] = []
        self._inputs: set[str] = set()

    def __len__(self) -> int:
        return len(self._order)

    def learn(self, line: bytes) -> None:
        """Take in a record (results.Cell as JSON). Raises msgspec.MsgspecError, UnicodeDecodeError, RecursionError."""
        record = _RECORD.decode(line)
        if record.cell not in self._keys:
            key = (record.queued_seq, len(self._order), record.cell)
            self._keys[record.cell] = key
            insort(self._order, key)
        self._cursors[record.cell] = record.cursor
        if record.started_at is not None and record.store_history and not record.silent:
            self._inputs.add(record.cell)
        self.displays.record(record.cell, record.cursor, record.displays)

    def cursor(self, cell: str) -> int | None:
        """The seq with which it ended; None if there is no record of it."""
        return self._cursors.get(cell)

    def key(self, cell: str) -> Key | None:
        return self._keys.get(cell)

    def after(self, key: Key | None) -> Iterator[Key]:
        """The cells behind `key`, in order; None: all. Do not await between two of them."""
        begin = bisect_right(self._order, key) if key is not None else 0
        for place in range(begin, len(self._order)):
            yield self._order[place]

    def is_input(self, cell: str) -> bool:
        """Whether it ran and belongs to the history."""
        return cell in self._inputs
