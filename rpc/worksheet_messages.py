"""The params of methods that read the cells of a session."""

from typing import Annotated

from msgspec import Meta, Struct

from rpc.messages import CellId, Flag, SessionId

_MIB = 1 << 20

PageLimit = Annotated[int, Meta(ge=1, le=1000, description="an integer from 1 to 1000")]
PageBytes = Annotated[int, Meta(ge=1024, le=16 * _MIB, description=f"an integer from 1024 to {16 * _MIB}")]


class GetCellParams(Struct, frozen=True, forbid_unknown_fields=True):
    cell: CellId
    session: SessionId | None = None


class ListCellsParams(Struct, frozen=True, forbid_unknown_fields=True):
    session: SessionId | None = None
    outputs: Flag = False
    """whether to show the cells' outputs too"""
    limit: PageLimit = 100
    after: CellId | None = None
    """the page begins behind this cell: `after` of the page before, or any cell"""
    max_bytes: PageBytes = _MIB
    """bound of the cells together; one comes even if it is larger"""


class HistoryParams(Struct, frozen=True, forbid_unknown_fields=True):
    session: SessionId | None = None
    limit: PageLimit = 100
    after: CellId | None = None
    """the page begins behind this cell: `after` of the page before, or any cell"""
    results: Flag = False
    """whether to show `Out[n]` too"""
    max_bytes: PageBytes = _MIB
    """bound of the entries together; one comes even if it is larger"""


class ExportNotebookParams(Struct, frozen=True, forbid_unknown_fields=True):
    session: SessionId | None = None
    outputs: Flag = True
    """whether the document has outputs and execution counts"""
