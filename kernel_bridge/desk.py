"""What a session needs of its host, and what it has open while it is used."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from kernel_bridge.adoption import Survivor
from kernel_bridge.cells import Cells
from kernel_bridge.journal import Journal
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.record import SessionRecord
from kernel_bridge.router import Router
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.stored_bytes import StoredBytes
from kernel_bridge.tally import Tally
from kernel_bridge.waiting_kernel import WaitingKernel


@dataclass(slots=True, frozen=True)
class Surroundings:
    """What a session needs of its host: where its files lie and how it gets a kernel."""

    directory: Path
    settings: BridgeSettings
    take_kernel: Callable[[SessionRecord], Awaitable[WaitingKernel | None]]
    """one of the pool, if there is one for this session"""
    open_kernel: Callable[[SessionRecord, Deliver, DeliverExit], Awaitable[Kernel]]
    new_uid: Callable[[str], int | None]
    """a user of the system for a session of the user of that name, None where it has none. Raises OSError"""
    adopt_kernel: Callable[[Survivor, Deliver, DeliverExit], Kernel]
    tally: Tally = field(default_factory=Tally)
    stored: StoredBytes = field(default_factory=StoredBytes)


@dataclass(slots=True)
class Visitors:
    """Calls that wait and then go on using the desk: `with` it around them."""

    count: int = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


@dataclass(slots=True, frozen=True)
class Desk:
    """What a session has open while it is used. Whoever opens it closes the journal."""

    journal: Journal
    cells: Cells
    router: Router
    visitors: Visitors = field(default_factory=Visitors)

    @property
    def can_be_left(self) -> bool:
        """Whether nobody is at it, no cell waits or runs, and all is written."""
        return not self.visitors.count and self.cells.all_ended and self.journal.settled

    def has(self, cell: str) -> bool:
        """Whether there is such a cell: then to evaluate it again stores nothing."""
        return self.cells.live(cell) is not None or self.journal.has_finished(cell)

    @classmethod
    def open(cls, session: str, around: Surroundings, slot: KernelSlot, on_change: Callable[[], None]) -> "Desk":
        """The session's journal and cells, as its files have them. `on_change` is called when a cell was queued, begins
        or has ended. Raises OSError."""
        settings = around.settings
        journal = Journal(around.directory, settings, around.tally)
        cells = Cells(session, journal, slot, settings, on_change)
        return cls(journal, cells, Router(journal, cells.runner, settings.max_event_bytes))
