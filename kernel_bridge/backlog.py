"""What a log could not store: kept events and counted losses, in the order in which they happened."""

from collections import deque
from dataclasses import dataclass

from kernel_bridge.event_contents import Dropped
from kernel_bridge.events import NewEvent, from_service


@dataclass(slots=True)
class Loss:
    """Events of one cell that were lost between two kept events; `reason` is that of the first."""

    cell: str | None
    reason: str
    count: int = 0
    bytes: int = 0


class Backlog:
    """Grows with the kept events and the cells that lost something, never with the number of lost events."""

    def __init__(self) -> None:
        self._entries: deque[NewEvent | Loss] = deque()
        self._open: dict[str | None, Loss] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def keep(self, event: NewEvent) -> None:
        """Keep the event itself. Losses after it are counted apart from those before it."""
        self._entries.append(event)
        self._open.clear()

    def lose(self, event: NewEvent, reason: str) -> None:
        """Count the event."""
        loss = self._open.get(event.cell)
        if loss is None:
            loss = self._open[event.cell] = Loss(event.cell, reason)
            self._entries.append(loss)
        loss.count += 1
        loss.bytes += event.size

    def first(self) -> NewEvent:
        """The event to be written next: the oldest kept one, or `dropped` for the oldest loss. IndexError if empty."""
        entry = self._entries[0]
        if isinstance(entry, Loss):
            return from_service("dropped", Dropped(entry.count, entry.bytes, entry.reason), entry.cell)
        return entry

    def pop(self) -> None:
        """The first one has been written."""
        entry = self._entries.popleft()
        if isinstance(entry, Loss) and self._open.get(entry.cell) is entry:
            del self._open[entry.cell]
