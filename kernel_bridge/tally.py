"""Counting as things happen, so that a host's figures cost nothing to read and nobody walks through all sessions."""

import time
from collections import Counter
from dataclasses import dataclass, field

from kernel_bridge.results import CellEnd, KernelState
from kernel_bridge.stats import Stats


@dataclass(slots=True)
class LogTally:
    """What became of events: stored, removed by retention (truncated), or never stored (dropped)."""

    stored_events: int = 0
    stored_bytes: int = 0
    truncated_events: int = 0
    truncated_bytes: int = 0
    dropped_events: int = 0
    dropped_bytes: int = 0

    def stored(self, size: int) -> None:
        self.stored_events += 1
        self.stored_bytes += size

    def truncated(self, events: int, size: int) -> None:
        self.truncated_events += events
        self.truncated_bytes += size

    def dropped(self, size: int) -> None:
        self.dropped_events += 1
        self.dropped_bytes += size


@dataclass(slots=True)
class Tally:
    """One host's figures since it started."""

    started_at: float = field(default_factory=time.time)
    log: LogTally = field(default_factory=LogTally)
    sessions: Counter[str] = field(default_factory=Counter[str])
    kernels: Counter[str] = field(default_factory=Counter[str])
    cells: Counter[CellEnd] = field(default_factory=Counter[CellEnd])
    queued: int = 0

    def stats(self, version: str) -> Stats:
        log = self.log
        return Stats(
            version=version,
            started_at=self.started_at,
            sessions=dict(self.sessions),
            kernels=dict(self.kernels),
            queued=self.queued,
            cells={str(end): count for end, count in self.cells.items()},
            stored_events=log.stored_events,
            stored_bytes=log.stored_bytes,
            truncated_events=log.truncated_events,
            truncated_bytes=log.truncated_bytes,
            dropped_events=log.dropped_events,
            dropped_bytes=log.dropped_bytes,
        )


class SessionShare:
    """What one session adds to a tally. It is told how things are, not what changed, so a call too few mends itself."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._session: str | None = None
        self._kernel: KernelState = "none"
        self._queued = 0
        self._left = False

    def update(self, *, closed: bool, kernel: KernelState, queued: int) -> None:
        """How the session is now. Does nothing after `leave`: what was already under way may still tell."""
        if self._left:
            return
        session = "closed" if closed else "open"
        if session != self._session:
            self._leave_sessions()
            self._tally.sessions[session] += 1
            self._session = session
        self._move(kernel, queued)

    def leave(self) -> None:
        """The session is gone for good."""
        self._left = True
        self._leave_sessions()
        self._move("none", 0)

    def _leave_sessions(self) -> None:
        if self._session is not None:
            self._tally.sessions[self._session] -= 1
            self._session = None

    def _move(self, kernel: KernelState, queued: int) -> None:
        if kernel != self._kernel:
            if self._kernel != "none":
                self._tally.kernels[self._kernel] -= 1
            if kernel != "none":
                self._tally.kernels[kernel] += 1
            self._kernel = kernel
        self._tally.queued += queued - self._queued
        self._queued = queued
