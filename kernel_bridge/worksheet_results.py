"""What the bridge answers about the cells of a session, in the order in which they were queued."""

from typing import Any, Literal

from msgspec import Struct

from kernel_bridge.results import CellEnd, CellState, Exit, Truncated


class HistoryEntry(Struct, frozen=True):
    """One input that was run."""

    cell: str
    execution_count: int | None
    code: str
    user: str
    user_id: str
    started_at: str
    """when it began to run"""
    end: CellEnd
    result: dict[str, Any] | None = None
    """MIME bundle of `Out[n]`; null without one, or if results were not asked for"""


class History(Struct, frozen=True):
    entries: list[HistoryEntry]
    """inputs in order"""
    after: str | None


class ListedCell(Struct, frozen=True):
    """A Cell, of which outputs and what belongs to them are null unless they were asked for."""

    session: str
    cell: str
    code: str
    user: str
    user_id: str
    metadata: dict[str, Any]
    """as the client gave it"""
    state: CellState
    """`queued`, `running`, `waiting_input` or `done`"""
    end: CellEnd | None
    execution_count: int | None
    cursor: int
    """the last seq folded into this answer"""
    queued_at: str
    """when it was queued"""
    started_at: str | None
    """when it began to run; null until then"""
    finished_at: str | None
    """when it ended; null until then"""
    exit: Exit | None
    queued_seq: int = 0
    """seq of its first event"""
    silent: bool = False
    """as it was asked for"""
    store_history: bool = True
    """as it was asked for"""
    outputs_truncated: Truncated | None = None
    """what is missing in its outputs; null if nothing is"""
    text: str | None = None
    """the outputs as a terminal would show them; null unless outputs were asked for"""
    outputs: list[dict[str, Any]] | None = None
    """notebook-format-4 outputs; null unless they were asked for"""
    user_expressions: dict[str, Any] | None = None
    """their values by name; null unless outputs were asked for"""
    payload: list[dict[str, Any]] | None = None
    """payload of the execute_reply; null unless outputs were asked for"""
    displays: dict[str, list[int]] | None = None
    """by display_id the places in `outputs` that an update_display_data event changes; null unless outputs were asked
    for"""


class CellList(Struct, frozen=True):
    cells: list[ListedCell]
    """cells in order"""
    after: str | None


class NotebookCell(Struct, frozen=True):
    """A code cell of notebook format 4.5."""

    id: str
    """id of the cell"""
    source: str
    """the code"""
    execution_count: int | None
    outputs: list[dict[str, Any]]
    """its outputs"""
    metadata: dict[str, Any]
    """`execution` times, and under `kernelwire` what the format has no place for"""
    cell_type: Literal["code"] = "code"
    """always `code`"""


class Notebook(Struct, frozen=True):
    """A document of notebook format 4.5: written to a file as it is, it is an .ipynb."""

    cells: list[NotebookCell]
    """cells in order"""
    metadata: dict[str, Any]
    """kernelspec and language_info"""
    nbformat: int = 4
    """major version of the format"""
    nbformat_minor: int = 5
    """minor version of the format"""
