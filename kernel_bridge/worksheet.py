"""A session's cells in the order in which they were queued, page by page."""

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from kernel_bridge.cell import LiveCell
from kernel_bridge.cell_index import Key
from kernel_bridge.errors import InvalidArgument
from kernel_bridge.hop import History, ListCells
from kernel_bridge.journal import Journal
from kernel_bridge.results import CellEnd
from kernel_bridge.worksheet_results import HistoryEntry

SCAN_BYTES = 16 << 20
"""records that one page may read, as most of a record may not be shown"""
OUTPUTS = ("text", "outputs", "user_expressions", "payload", "displays")
"""members of a cell that list_cells shows only when asked"""

_NULL = Raw(b"null")


class CellPage(Struct, frozen=True):
    """worksheet_results.CellList, its cells encoded."""

    cells: list[Raw]
    after: str | None


class HistoryPage(Struct, frozen=True):
    """worksheet_results.History, its entries encoded."""

    entries: list[Raw]
    after: str | None


class _Input(Struct, frozen=True):
    cell: str
    execution_count: int | None
    code: str
    user: str
    user_id: str
    started_at: str
    end: CellEnd


class _InputWithOutputs(_Input, frozen=True):
    outputs: list[dict[str, Any]]


class Worksheet:
    """Ended cells from the journal and those that wait or run from `live`, which its owner keeps."""

    def __init__(self, journal: Journal, live: Mapping[str, LiveCell]) -> None:
        self._journal = journal
        self._live = live

    def __len__(self) -> int:
        return len(self._journal.index) + len(self._live)

    def ids(self) -> list[str]:
        """All cells, in order."""
        return list(self._after(None))

    def page(self, asked: ListCells) -> CellPage:
        """At most `limit` cells and about `max_bytes` of them, but at least one. Raises InvalidArgument(after)."""
        return CellPage(*self._collect(self._after(asked.after), asked, lambda cell: self._listed(cell, asked.outputs)))

    def history(self, asked: History) -> HistoryPage:
        """The inputs that were run and belong to the history, bounded as a page. Raises InvalidArgument(after)."""
        inputs = (cell for cell in self._after(asked.after) if self._journal.index.is_input(cell))
        return HistoryPage(*self._collect(inputs, asked, lambda cell: self._entry(cell, asked.results)))

    def json(self, cell: str) -> Raw | None:
        """The cell as it is now (results.Cell); None if there is none."""
        live = self._live.get(cell)
        if live is not None:
            return Raw(msgspec.json.encode(live.snapshot()))
        return self._journal.finished(cell)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _after(self, cell: str | None) -> Iterator[str]:
        key = None if cell is None else self._key(cell)
        live = sorted(_live_key(cell) for cell in self._live.values())
        begin = (key,) if key is not None else ()
        for found in heapq.merge(self._journal.index.after(key), (other for other in live if (other,) > begin)):
            yield found[2]

    def _key(self, cell: str) -> Key:
        live = self._live.get(cell)
        key = _live_key(live) if live is not None else self._journal.index.key(cell)
        if key is None:
            raise InvalidArgument("after", "the id of a cell of this session")
        return key

    def _collect(
        self, cells: Iterator[str], asked: ListCells | History, show: Callable[[str], tuple[Raw, int] | None]
    ) -> tuple[list[Raw], str | None]:
        """What `show` makes of the cells (and the bytes that it read), and the last one's id if there are more."""
        found: list[Raw] = []
        last: str | None = None
        used = scanned = 0
        for cell in cells:
            if found and (len(found) >= asked.limit or scanned >= SCAN_BYTES):
                return found, last
            shown = show(cell)
            if shown is not None:
                entry, read = shown
                size = memoryview(entry).nbytes
                if found and used + size > asked.max_bytes:
                    return found, last
                found.append(entry)
                used += size
                scanned += read
            last = cell
        return found, None

    def _listed(self, cell: str, outputs: bool) -> tuple[Raw, int] | None:
        whole = self.json(cell)
        if whole is None:
            return None
        size = memoryview(whole).nbytes
        if outputs:
            return whole, size
        members = msgspec.json.decode(whole, type=dict[str, Raw])
        members.update(dict.fromkeys(OUTPUTS, _NULL))
        return Raw(msgspec.json.encode(members)), size

    def _entry(self, cell: str, results: bool) -> tuple[Raw, int] | None:
        record = self._journal.finished(cell)
        if record is None:
            return None
        found = msgspec.json.decode(record, type=_InputWithOutputs if results else _Input)
        entry = HistoryEntry(
            cell=found.cell,
            execution_count=found.execution_count,
            code=found.code,
            user=found.user,
            user_id=found.user_id,
            started_at=found.started_at,
            end=found.end,
            result=_result(found.outputs) if isinstance(found, _InputWithOutputs) else None,
        )
        return Raw(msgspec.json.encode(entry)), memoryview(record).nbytes


def _live_key(cell: LiveCell) -> Key:
    return (cell.queued_seq, 0, cell.id)


def _result(outputs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The MIME bundle of the cell's `Out[n]`."""
    return next((output["data"] for output in reversed(outputs) if output["output_type"] == "execute_result"), None)
