"""The cells of a session as they ended: `cells.jsonl`, one line each (DESIGN.md, decision 6)."""

import errno
import os
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from itertools import accumulate
from pathlib import Path

import msgspec
from msgspec import Struct

from kernel_bridge.line_file import LineFile, StoreFailed, Write, cut_torn_tail, line_blocks

NAME = "cells.jsonl"
EARLY = "~"
"""begins the `cell` of a line that was written before the cell's end; no cell's own id has it"""
COMPACT_BYTES = 1 << 20
"""lines that later ones replaced are left in the file until they are so much, and more than all that count"""

Place = tuple[int, int]
"""offset and length of a line"""


class _CellId(Struct):
    cell: str


_CELL_ID = msgspec.json.Decoder(_CellId)


class CellLog:
    """Finds each cell by its id; of a cell that was recorded more than once the last line counts, and the file is
    written anew without the others when they are more than half of it and COMPACT_BYTES.

    Memory holds an offset and a length a cell. Synchronous, for one owner, who calls close(). `torn_bytes`: what
    open() cut off the end; `damaged_lines`: what it passed over. Open it with CellLog.open().
    """

    def __init__(self, path: Path, size: int = 0, *, write: Write = os.write) -> None:
        self.torn_bytes = self.damaged_lines = 0
        self._write = write
        self._file = LineFile(path, size, write=write)
        self._places: dict[str, Place] = {}
        self._early: dict[str, Place] = {}
        self._counting = 0  # bytes of the lines at these places
        self._compact_from = COMPACT_BYTES  # bytes of other lines

    @classmethod
    def open(
        cls, directory: Path, *, write: Write = os.write, learn: Callable[[bytes], None] | None = None
    ) -> "CellLog":
        """The cells recorded in `directory`. A torn last line is cut off, damaged lines are passed over. Creates
        nothing before the first append. `learn` is given each line of an ended cell, in order.

        Raises OSError when the file cannot be read."""
        path = directory / NAME
        try:
            size, torn = cut_torn_tail(path)
        except FileNotFoundError:
            return cls(path, write=write)
        cells = cls(path, size, write=write)
        cells.torn_bytes = torn
        cells._find_places(size, learn)
        cells._compact()
        return cells

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return self._file.size

    def append(self, cell_id: str, line: bytes) -> bool:
        """Record a cell: `line` is its JSON (results.Cell, whose `cell` is `cell_id`) on one line, with or without a
        newline at its end. False if it could not be stored: keep it and try again.

        Raises:
            ValueError: there is a newline within `line`.
        """
        line = line.rstrip(b"\n")
        if b"\n" in line:
            raise ValueError("a cell is recorded on one line")
        try:
            offset = self._file.append(line + b"\n")
        except StoreFailed:
            return False
        self._place(cell_id, (offset, len(line)))
        self._compact()
        return True

    def get(self, cell_id: str) -> bytes | None:
        """The cell's JSON, without a newline; None if it is not recorded. Raises OSError."""
        place = self._places.get(cell_id)
        return self._read(place) if place is not None else None

    def ids(self) -> list[str]:
        """Ids of the recorded cells, in the order of their first appearance."""
        return list(self._places)

    def __contains__(self, cell_id: object) -> bool:
        return cell_id in self._places

    def __len__(self) -> int:
        return len(self._places)

    def rest(self) -> None:
        """Close the file until the next append."""
        self._file.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def early(self) -> Generator[bytes, None, None]:
        """The lines of cells that were recorded before their end and have not ended; `cell` begins with EARLY."""
        for place in self._early.values():
            yield self._read(place)

    def _read(self, place: Place) -> bytes:
        fd = os.open(self._file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.pread(fd, place[1], place[0])
        finally:
            os.close(fd)

    def _place(self, cell_id: str, place: Place) -> None:
        if cell_id.startswith(EARLY):
            replaced = [self._early.get(cell_id.removeprefix(EARLY))]
            self._early[cell_id.removeprefix(EARLY)] = place
        else:
            replaced = [self._places.get(cell_id), self._early.pop(cell_id, None)]
            self._places[cell_id] = place
        self._counting += place[1] + 1 - sum(old[1] + 1 for old in replaced if old is not None)

    def _compact(self) -> None:
        """Write the file anew if most of it does not count any more. A disk that has no room for that is left alone
        until there is twice as much to be gained."""
        superseded = self._file.size - self._counting
        if superseded <= max(self._counting, self._compact_from):
            return
        try:
            self._file = LineFile(self._file.path, self._write_anew(), write=self._write)
        except OSError:
            self._compact_from = 2 * superseded

    def _write_anew(self) -> int:
        """Put a file with the lines that count in the place of the old one, whole or not at all (rename(2)); its size.
        Raises OSError."""
        path, fresh = self._file.path, self._file.path.with_name(f".{NAME}.new")
        places = [*self._places.values(), *self._early.values()]
        try:
            with path.open("rb") as source, open(fresh, "wb", opener=_create) as target:
                for offset, length in places:
                    line = os.pread(source.fileno(), length, offset)
                    if len(line) < length:
                        raise OSError(errno.EIO, "a line is gone")
                    target.write(line + b"\n")
            fresh.rename(path)
        except OSError:
            with suppress(OSError):
                fresh.unlink()
            raise
        self._file.close()
        ends = list(accumulate(length + 1 for _, length in places))
        moved = [(end - length - 1, length) for end, (_, length) in zip(ends, places, strict=True)]
        self._places = dict(zip(self._places, moved, strict=False))
        self._early = dict(zip(self._early, moved[len(self._places) :], strict=True))
        return ends[-1] if ends else 0

    def _find_places(self, size: int, learn: Callable[[bytes], None] | None) -> None:
        offset = 0
        with closing(line_blocks(self._file.path, 0, size)) as blocks:
            for block in blocks:
                for line in block[:-1].split(b"\n"):
                    try:
                        cell_id = _CELL_ID.decode(line).cell
                        if learn is not None and not cell_id.startswith(EARLY):
                            learn(line)
                        self._place(cell_id, (offset, len(line)))
                    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                        self.damaged_lines += 1
                    offset += len(line) + 1


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
