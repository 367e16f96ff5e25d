"""Who may do what in a session: its owner everything, others what it is shared with them for."""

from typing import Literal

from kernel_bridge import hop
from kernel_bridge.errors import AccessDenied, SessionNotFound
from kernel_bridge.hop import Caller
from kernel_bridge.record import SessionRecord
from kernel_bridge.results import Access

_RANK: dict[Access, int] = {"read": 0, "write": 1, "owner": 2}

_READ: tuple[type, ...] = (
    hop.SessionInfo,
    hop.PollOutput,
    hop.GetCell,
    hop.ListCells,
    hop.History,
    hop.ExportNotebook,
)
_WRITE: tuple[type, ...] = (
    hop.Evaluate,
    hop.Complete,
    hop.Inspect,
    hop.IsComplete,
    hop.KernelInfo,
    hop.Restart,
    hop.Interrupt,
    hop.InputReply,
    hop.CommOpen,
    hop.CommMsg,
    hop.CommClose,
)
_NEEDS: dict[type, Access] = {**dict.fromkeys(_READ, "read"), **dict.fromkeys(_WRITE, "write")}


def needed(kind: type) -> Access:
    """What a request of this class needs. One that stands in no list is the owner's alone."""
    return _NEEDS.get(kind, "owner")


def of(record: SessionRecord, caller: Caller) -> Access | None:
    """What the caller may do there; None for a stranger. Users are compared by id: a name can be another's later."""
    if record.owner == caller.user_id:
        return "owner"
    for share in record.shares:
        if share.user_id == caller.user_id:
            return share.access
    return None


def check(record: SessionRecord | None, caller: Caller, session: str, needs: Access) -> SessionRecord:
    """The record again, if the caller may do what `needs` stands for.

    Raises SessionNotFound, the same whether there is none or it is not shared with the caller, and AccessDenied.
    """
    has = of(record, caller) if record is not None else None
    if record is None or has is None:
        raise SessionNotFound(session)
    if _RANK[has] < _RANK[needs]:
        denied: Literal["write", "owner"] = "write" if needs == "write" else "owner"
        raise AccessDenied(denied)
    return record
