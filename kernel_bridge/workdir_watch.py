"""The soft limit of working directories: looked at now and then, one at a time, and only where a kernel runs.

A file system's own quota would be exact, and needs the administrator. This one lets a kernel write beyond the limit
until the next look; then the cell that runs is interrupted. New cells are taken in all the same: with them the user
can tidy up. A cell that does not write is left alone, also above the limit. A kernel that two looks in a row find
writing beyond the limit while no cell runs, by threads or by many short cells, is ended.
"""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kernel_bridge import disk_use
from kernel_bridge.disk_use import DiskUse
from kernel_bridge.errors import BridgeError
from kernel_bridge.event_contents import Notice
from kernel_bridge.record import short_id
from kernel_bridge.session import Session

BUSY_S = 5.0
"""from one look to the next at a session in which a cell runs"""
IDLE_S = 30.0
"""the same while none runs: threads go on writing"""
SHARE = 20.0
"""a look that took long is not repeated before so many times its duration"""
LIMIT = "workdir_bytes"

log = logging.getLogger("kernelwire.bridge.workdir_watch")


@dataclass(slots=True)
class _Seen:
    """What the last look at a session found. `growing`: how often in a row it grew above the limit without a cell."""

    at: float
    """when that was"""
    cost_s: float = 0.0
    """how long it took"""
    bytes: int = 0
    growing: int = 0


class WorkdirWatch:
    """Owned by the host's sessions, which call `tend` for each of them now and then and, before they stop, `close`."""

    def __init__(self, limit: int, workdirs: Path, measure: Callable[[Path], DiskUse] = disk_use.measure) -> None:
        """`limit`: bytes. `measure` may block."""
        self._limit = limit
        self._workdirs = workdirs
        self._measure = measure
        self._seen: dict[str, _Seen] = {}
        self._due: dict[str, Session] = {}
        self._looking: asyncio.Task[None] | None = None

    def tend(self, session: Session, now: datetime) -> None:
        """Have a look at it soon, if it is time to."""
        name = session.record.id
        if session.kernel_since is None:
            self.forget(name)
            return
        seen = self._seen.setdefault(name, _Seen(0.0))
        pause_s = max(BUSY_S if session.busy else IDLE_S, seen.cost_s * SHARE)
        if now.timestamp() < seen.at + pause_s or name in self._due:
            return
        self._due[name] = session
        seen.at = now.timestamp()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="workdir-watch", context=Context())
            self._looking.add_done_callback(self._looked)

    def forget(self, session: str) -> None:
        """Its kernel has ended, or it is gone."""
        self._seen.pop(session, None)
        self._due.pop(session, None)

    async def close(self) -> None:
        """Wait for what is under way, which is bounded."""
        self._due.clear()
        if self._looking is not None:
            await asyncio.wait([self._looking])

    def _looked(self, task: "asyncio.Task[None]") -> None:
        self._looking = None
        if not task.cancelled() and task.exception() is not None:
            log.error("workdir_watch_failed", exc_info=task.exception())

    async def _look(self) -> None:
        """At all that are due, one after the other."""
        loop = asyncio.get_running_loop()
        while self._due:
            name = next(iter(self._due))
            session = self._due.pop(name)
            began = loop.time()
            use = await asyncio.to_thread(self._measure, self._workdirs / session.record.workdir)
            seen = self._seen.get(name)
            if seen is None:
                continue
            seen.cost_s = loop.time() - began
            try:
                await self._judge(session, seen, use)
            except (BridgeError, OSError, TimeoutError) as error:  # it is due again
                log.warning("workdir_limit_not_kept session=%s error=%s", short_id(name), error)

    async def _judge(self, session: Session, seen: _Seen, use: DiskUse) -> None:
        grew, seen.bytes = use.bytes > seen.bytes, use.bytes
        if use.bytes <= self._limit or not grew:
            seen.growing = 0
            return
        text = f"bridge.limits.{LIMIT}: a session may have {self._limit} bytes of files, this one has {use.bytes}"
        log.info("workdir_limit session=%s bytes=%d", short_id(session.record.id), use.bytes)
        if session.stop_cell_for_limit(f"{text}; its cell is interrupted: delete some"):
            session.notify(Notice("limit_reached", f"{text}: delete some", limit=LIMIT))
            seen.growing = 0
            return
        seen.growing += 1
        if seen.growing == 1:  # perhaps the last that a cell has written
            words = f"{text}: delete some; a kernel that goes on writing is ended"
            session.notify(Notice("limit_reached", words, limit=LIMIT))
            return
        anew = Notice("kernel_started_anew", "the kernel was ended as it went on writing files: variables are gone")
        await session.end_kernel(Notice("kernel_ended", f"{text}, and its kernel went on writing", limit=LIMIT), anew)
