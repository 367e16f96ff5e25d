"""The cells of one session, by id: those that wait or run, and those that ended."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw, Struct

from kernel_bridge import events, hop, recovery
from kernel_bridge.cell import LiveCell
from kernel_bridge.clock import utcnow
from kernel_bridge.errors import CellConflict, CellNotFound, LimitExceeded
from kernel_bridge.event_contents import CellQueued
from kernel_bridge.journal import Journal
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.outputs import OutputFold
from kernel_bridge.results import Cell, CellEnd
from kernel_bridge.runner import Runner
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.tracing import CellTrace
from kernel_bridge.worksheet import Worksheet

NOT_PARAMS = ("op", "caller", "request_id", "traceparent", "session", "wait")
"""members of the request that say nothing of the cell itself"""


@dataclass(slots=True)
class Recovered:
    """Cells that had not ended when the host died, in order; at most one of them `ran`."""

    ran: list[LiveCell] = field(default_factory=list[LiveCell])
    queued: list[LiveCell] = field(default_factory=list[LiveCell])


class Cells:
    """Takes cells in and finds them again; its `runner` runs them."""

    def __init__(
        self, session: str, journal: Journal, slot: KernelSlot, settings: BridgeSettings, on_change: Callable[[], None]
    ) -> None:
        """`on_change` is called when a cell was queued, begins or has ended."""
        self.runner = Runner(journal, slot, settings, self._ended, on_change)
        self._session = session
        self._journal = journal
        self._settings = settings
        self._live: dict[str, LiveCell] = {}
        self.worksheet = Worksheet(journal, self._live)

    @property
    def all_ended(self) -> bool:
        return not self._live

    def evaluate(self, asked: hop.Evaluate) -> LiveCell | Raw:
        """Queue a cell, or find the one that has its id; a finished one comes as JSON. Never awaits: order is arrival.

        Raises CellConflict, LimitExceeded (queue_cells; or disk, as nothing is run unrecorded).
        """
        if asked.cell is not None:
            existing = self._existing(asked.cell, asked.code)
            if existing is not None:
                return existing
        if len(self.runner.queue) >= self._settings.queue_cells:
            raise LimitExceeded("queue_cells", self._settings.queue_cells)
        cell = self._new(asked.cell or secrets.token_hex(8), asked)
        queued = CellQueued(asked.caller.user, asked.caller.user_id, _params(asked))
        seq = self._journal.try_write(events.from_service("cell", queued, cell.id))
        if seq is None:
            words = "the cell cannot be recorded, so it was not run: no space on the host's disk"
            raise LimitExceeded("disk", None, words)
        cell.cursor = cell.queued_seq = seq
        cell.trace = CellTrace.begin()
        self._live[cell.id] = cell
        self.runner.put(cell)
        return cell

    def live(self, cell: str) -> LiveCell | None:
        """The cell, if it waits or runs."""
        return self._live.get(cell)

    def get(self, cell: str) -> Cell | Raw:
        """The cell as it is now. Raises CellNotFound."""
        live = self._live.get(cell)
        if live is not None:
            return live.snapshot()
        finished = self._journal.finished(cell)
        if finished is None:
            raise CellNotFound(cell)
        return finished

    def must_be_known(self, cell: str) -> None:
        """Raises CellNotFound."""
        if cell not in self._live and not self._journal.has_finished(cell):
            raise CellNotFound(cell)

    def end_of(self, cell: str) -> CellEnd | None:
        """How a cell ended; None while it has not. Raises CellNotFound."""
        self.must_be_known(cell)
        finished = self._journal.finished(cell)
        return msgspec.json.decode(finished, type=_End).end if finished is not None else None

    def is_over(self, cell: str, cursor: int) -> bool:
        """Whether the cell has ended and `cursor` has passed its last event."""
        last = None if cell in self._live else self._journal.cursor(cell)
        return last is not None and cursor >= last

    def recover(self, rebuilt: list[recovery.Rebuilt]) -> Recovered:
        """After a crash of the host: know the cells again that had not ended. None of them is run by this, and those
        alone are ended that the host before was about to abort."""
        recovered = Recovered()
        for one in rebuilt:
            found = one.found
            cell = LiveCell(self._session, found.cell, found.request, one.fold, found.queued_at)
            cell.cursor = cell.queued_seq = found.seq
            cell.started_at = found.started_at
            cell.runs_after, cell.runs_after_bytes = found.runs_after, found.runs_after_bytes
            if found.end is not None:
                self._record(cell, found)
                continue
            self._live[cell.id] = cell
            if found.aborted:
                self.runner.end_recovered(cell, "aborted")
            elif found.started_at is None:
                recovered.queued.append(cell)
            else:
                _resume(cell, one)
                recovered.ran.append(cell)
        return recovered

    def _new(self, cell: str, asked: hop.Evaluate) -> LiveCell:
        fold = OutputFold(self._settings.cell_output_bytes)
        return LiveCell(session=self._session, id=cell, request=asked, fold=fold, queued_at=utcnow())

    def _record(self, cell: LiveCell, found: recovery.Unrecorded) -> None:
        """Write the record of a cell whose end is in the log."""
        cell.state, cell.end, cell.finished_at = "done", found.end, found.finished_at
        cell.cursor, cell.execution_count, cell.exit = found.last_seq, found.execution_count, found.exit
        self._journal.finish(cell.id, msgspec.json.encode(cell.snapshot()))

    def _existing(self, cell: str, code: str) -> LiveCell | Raw | None:
        live = self._live.get(cell)
        if live is not None:
            if live.request.code != code:
                raise CellConflict(cell)
            return live
        finished = self._journal.finished(cell)
        if finished is not None and msgspec.json.decode(finished, type=_Code).code != code:
            raise CellConflict(cell)
        return finished

    def _ended(self, cell: LiveCell) -> None:
        if cell.end is not None:
            self._journal.tally.cells[cell.end] += 1
        del self._live[cell.id]


def _resume(cell: LiveCell, rebuilt: recovery.Rebuilt) -> None:
    """Have a cell that ran as it was when its host died."""
    found, seen = rebuilt.found, rebuilt.seen
    cell.cursor, cell.execution_count = seen.cursor, seen.execution_count
    cell.resumed = True
    cell.state = "running"
    if found.waits and seen.input_id is not None:
        cell.state, cell.input_id = "waiting_input", seen.input_id
    if seen.begun:
        cell.begun.set()


class _Code(Struct, frozen=True):
    code: str


class _End(Struct, frozen=True):
    end: CellEnd


def _params(asked: hop.Evaluate) -> dict[str, Any]:
    """The request as the client gave it: for other front ends, and for a restarted host that runs the cell."""
    params = msgspec.to_builtins(asked)
    return {name: params[name] for name in params if name not in NOT_PARAMS}
