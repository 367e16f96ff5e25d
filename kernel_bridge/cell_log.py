"""The cells of a session as they ended: `cells.jsonl`, one line each (DESIGN.md, decision 6)."""

import os
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from kernel_bridge.line_file import LineFile, StoreFailed, Write, cut_torn_tail, line_blocks

_NAME = "cells.jsonl"
EARLY = "~"
"""begins the `cell` of a line that was written before the cell's end; no cell's own id has it"""


class _CellId(Struct):
    cell: str


_CELL_ID = msgspec.json.Decoder(_CellId)


class CellLog:
    """Finds each cell by its id; of a cell that was recorded more than once the last line counts.

    Memory holds an offset and a length a cell. Synchronous, for one owner, who calls close(). `torn_bytes`: what
    open() cut off the end. Open it with CellLog.open().
    """

    def __init__(self, path: Path, size: int = 0, *, write: Write = os.write) -> None:
        self.torn_bytes = 0
        self._file = LineFile(path, size, write=write)
        self._places: dict[str, tuple[int, int]] = {}
        self._early: dict[str, tuple[int, int]] = {}

    @classmethod
    def open(
        cls, directory: Path, *, write: Write = os.write, learn: Callable[[bytes], None] | None = None
    ) -> "CellLog":
        """The cells recorded in `directory`. A torn last line is cut off, damaged lines are passed over. Creates
        nothing before the first append. `learn` is given each line of an ended cell, in order.

        Raises OSError when the file cannot be read."""
        path = directory / _NAME
        try:
            size, torn = cut_torn_tail(path)
        except FileNotFoundError:
            return cls(path, write=write)
        cells = cls(path, size, write=write)
        cells.torn_bytes = torn
        cells._find_places(size, learn)
        return cells

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
        return True

    def get(self, cell_id: str) -> bytes | None:
        """The cell's JSON, without a newline; None if it is not recorded. Raises OSError."""
        place = self._places.get(cell_id)
        return self._read(place) if place is not None else None

    def _read(self, place: tuple[int, int]) -> bytes:
        fd = os.open(self._file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.pread(fd, place[1], place[0])
        finally:
            os.close(fd)

    def ids(self) -> list[str]:
        """Ids of the recorded cells, in the order of their first appearance."""
        return list(self._places)

    def __contains__(self, cell_id: object) -> bool:
        return cell_id in self._places

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def early(self) -> Generator[bytes, None, None]:
        """The lines of cells that were recorded before their end and have not ended; `cell` begins with EARLY."""
        for place in self._early.values():
            yield self._read(place)

    def _place(self, cell_id: str, place: tuple[int, int]) -> None:
        if cell_id.startswith(EARLY):
            self._early[cell_id.removeprefix(EARLY)] = place
        else:
            self._places[cell_id] = place
            self._early.pop(cell_id, None)

    def _find_places(self, size: int, learn: Callable[[bytes], None] | None) -> None:
        offset = 0
        with closing(line_blocks(self._file.path, 0, size)) as blocks:
            for block in blocks:
                for line in block[:-1].split(b"\n"):
                    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # damaged: pass over it
                        cell_id = _CELL_ID.decode(line).cell
                        if learn is not None and not cell_id.startswith(EARLY):
                            learn(line)
                        self._place(cell_id, (offset, len(line)))
                    offset += len(line) + 1
