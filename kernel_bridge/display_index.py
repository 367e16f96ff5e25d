"""Which ended cells show which display."""

from collections.abc import Iterable

from msgspec import Struct

MAX_DISPLAYS = 10_000
"""displays that a session remembers; of more, those of the oldest cells can no longer be updated"""


class Shown(Struct, frozen=True):
    """The displays of one cell. `cursor`: seq of its last event, so what comes later is news to it."""

    cursor: int
    ids: tuple[str, ...]


class DisplayIndex:
    """Display ids of the records of a session's cells, at most `max_displays` of them."""

    def __init__(self, max_displays: int = MAX_DISPLAYS) -> None:
        self._max_displays = max_displays
        self._count = 0
        self._shown: dict[str, Shown] = {}
        self._cells: dict[str, dict[str, None]] = {}

    def __contains__(self, display_id: object) -> bool:
        return display_id in self._cells

    def __bool__(self) -> bool:
        return bool(self._cells)

    def record(self, cell: str, cursor: int, ids: Iterable[str]) -> None:
        """The record of `cell` shows these displays, and no others any more."""
        self._forget(cell)
        shown = Shown(cursor, tuple(ids))
        if not shown.ids:
            return
        self._shown[cell] = shown
        self._count += len(shown.ids)
        for display_id in shown.ids:
            self._cells.setdefault(display_id, {})[cell] = None
        while self._count > self._max_displays:
            self._forget(next(iter(self._shown)))

    def of(self, cell: str) -> Shown | None:
        """What the cell shows; None if it shows no display."""
        return self._shown.get(cell)

    def cells(self, display_id: str) -> list[str]:
        """The cells that show it."""
        return list(self._cells.get(display_id, ()))

    def _forget(self, cell: str) -> None:
        shown = self._shown.pop(cell, None)
        if shown is None:
            return
        self._count -= len(shown.ids)
        for display_id in shown.ids:
            cells = self._cells[display_id]
            del cells[cell]
            if not cells:
                del self._cells[display_id]
