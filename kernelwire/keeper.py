"""A keeper keeps one process of the service running: what ends, or falls silent, is followed by the next."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from kernelwire.child import ChildFailed
from kernelwire.pulse import Pulse, until_heard, until_silent

READY_S = 45.0
KILLED_S = 10.0
"""what the system is given to end a killed process; one that waits for a dead disk may take longer"""
RESTART_S = 0.2
RESTART_MAX_S = 5.0

log = logging.getLogger("kernelwire.supervisor")


class Running(Protocol):
    """A process that the supervisor answers for."""

    @property
    def pid(self) -> int: ...

    async def ready(self, timeout_s: float) -> None:
        """Raises ChildFailed."""
        ...

    async def wait(self) -> int | None:
        """The exit code, if it can be known, once the process has ended."""
        ...

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens if it has ended."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """One process in a keeper's care. `ours`: it may be ended; else its silence is only said."""

    process: Running
    pulse: Pulse
    ours: bool = True

    def close(self) -> None:
        """Free what belongs to it; the process does not end by this."""
        self.pulse.close()
        self.process.close()


class Keeper:
    """One place, `name`, and the process in it. Call `start`, `keep` until cancelled, and `end`."""

    def __init__(self, name: str, obtain: Callable[[], Awaitable[Kept]], silence_s: float) -> None:
        """`obtain` starts a process, or finds one; raises ChildFailed, OSError. `silence_s`: see pulse.until_silent."""
        self._name = name
        self._obtain = obtain
        self._silence_s = silence_s
        self._kept: Kept | None = None

    async def start(self) -> None:
        """Return when the process serves. Raises ChildFailed, OSError; there is no process then."""
        self._kept = await self._obtain()
        try:
            await self._kept.process.ready(READY_S)
        except ChildFailed:
            await self._kill()
            raise

    async def keep(self) -> None:
        """Start again whatever ends, with pauses that grow while it fails to start, until cancelled."""
        pause_s = RESTART_S
        while True:
            if self._kept is not None:
                await self._watch(self._kept)
            await asyncio.sleep(pause_s)
            try:
                await self.start()
                pause_s = RESTART_S
            except (ChildFailed, OSError) as error:
                log.error("child_not_started name=%s reason=%s", self._name, error)  # noqa: TRY400  the reason is enough
                pause_s = min(2 * pause_s, RESTART_MAX_S)

    async def end(self, grace_s: float) -> bool:
        """SIGTERM, and SIGKILL if it has not ended after `grace_s`; returns when it has. False: nothing of ours ran."""
        kept = self._kept
        if kept is None:
            return False
        if kept.ours:
            kept.process.signal(signal.SIGTERM)
            if not await _has_ended(kept.process, grace_s):
                await self._kill()
        self._forget()
        return kept.ours

    def force(self, *numbers: signal.Signals) -> None:
        """Signals for a process of ours, if one runs: for one that takes too long to end, or to say something."""
        if self._kept is not None and self._kept.ours:
            for number in numbers:
                self._kept.process.signal(number)

    async def _watch(self, kept: Kept) -> None:
        """Return when the process has ended, of itself or because it was silent."""
        ending = asyncio.create_task(kept.process.wait())
        watching = asyncio.create_task(self._until_frozen(kept))
        try:
            await asyncio.wait({ending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                watching.result()  # a fault of the watch itself is none of the process
                log.error(
                    "child_frozen name=%s child_pid=%d silence_s=%g", self._name, kept.process.pid, self._silence_s
                )
                kept.process.signal(signal.SIGKILL)
            code = await ending
        finally:
            for task in (ending, watching):
                task.cancel()
            await asyncio.wait({ending, watching})
        log.warning("child_ended name=%s code=%s", self._name, code)
        self._forget()

    async def _until_frozen(self, kept: Kept) -> None:
        """Return when a process of ours is silent; another one's silence is said, and its end."""
        while True:
            await until_silent(kept.pulse, self._silence_s)
            if kept.ours:
                return
            log.error(
                "foreign_silent name=%s foreign_pid=%d silence_s=%g", self._name, kept.process.pid, self._silence_s
            )
            await until_heard(kept.pulse)
            log.warning("foreign_heard name=%s foreign_pid=%d", self._name, kept.process.pid)

    async def _kill(self) -> None:
        if self._kept is not None:
            self._kept.process.signal(signal.SIGKILL)
            if not await _has_ended(self._kept.process, KILLED_S):
                log.error("child_not_ended name=%s child_pid=%d", self._name, self._kept.process.pid)
            self._forget()

    def _forget(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


async def _has_ended(process: Running, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await process.wait()
            return True
    return False
