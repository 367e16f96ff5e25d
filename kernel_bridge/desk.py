"""What a session needs of its host, and what it has open while it is used."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from kernel_bridge.cells import Cells
from kernel_bridge.journal import Journal
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.record import SessionRecord
from kernel_bridge.router import Router
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.tally import Tally


@dataclass(slots=True, frozen=True)
class Surroundings:
    """What a session needs of its host: where its files lie and how to start a kernel for it."""

    directory: Path
    settings: BridgeSettings
    open_kernel: Callable[[SessionRecord, Deliver, DeliverExit], Awaitable[Kernel]]
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True, frozen=True)
class Desk:
    """What a session has open while it is used. Whoever opens it closes the journal."""

    journal: Journal
    cells: Cells
    router: Router

    @classmethod
    def open(cls, session: str, around: Surroundings, slot: KernelSlot, on_change: Callable[[], None]) -> "Desk":
        """The session's journal and cells, as its files have them. Raises OSError."""
        settings = around.settings
        journal = Journal(around.directory, settings, around.tally, on_change)
        cells = Cells(session, journal, slot, settings)
        return cls(journal, cells, Router(journal, cells.runner, settings.max_event_bytes))
