"""Questions to the host about the cells of a session."""

from kernel_bridge import results, worksheet_results
from kernel_bridge.hop_request import Request


class GetCell(Request[results.Cell], frozen=True, tag="get_cell"):
    session: str
    cell: str


class History(Request[worksheet_results.History], frozen=True, tag="history"):
    session: str
    limit: int = 100
    after: str | None = None
    results: bool = False
    max_bytes: int = 1 << 20


class ListCells(Request[worksheet_results.CellList], frozen=True, tag="list_cells"):
    session: str
    outputs: bool = False
    limit: int = 100
    after: str | None = None
    max_bytes: int = 1 << 20


class ExportNotebook(Request[worksheet_results.Notebook], frozen=True, tag="export_notebook"):
    session: str
    outputs: bool = True
