"""What every measure stands on: how much to do, in which order, for how long, and the noise meanwhile."""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from bench import stats
from bench.interrupts import Interrupts
from bench.noise import BusyLoop
from bench.protocol import BenchFailed, Session, System, TookTooLong
from bench.results import FAILED, Figure
from bench.stats import Summary

R = TypeVar("R")
QUICK = 10
"""a quick run does a part of the rounds, lines and sessions: one in so many"""


class Plan(Struct, frozen=True):
    """How much is measured. `rounds`, `lines`, `sessions`: upper bounds for every measure, none by default."""

    seed: int = 1
    quick: bool = False
    rounds: int | None = None
    lines: int | None = None
    sessions: int | None = None


@dataclass(slots=True)
class Ground:
    """Of one measure. Between two rounds a loop that always does the same is timed."""

    plan: Plan
    order: random.Random
    interrupts: Interrupts
    directory: Path
    tell: Callable[[str], None]
    until: float
    """time.monotonic() after which no further round is begun"""
    loop: BusyLoop
    noise_s: list[float] = field(default_factory=list[float])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    """systems that are not measured, or not in full, and why"""
    failed: set[str] = field(default_factory=set[str])
    """systems that did not answer, or wrongly: nothing of them counts"""

    def rounds(self, full: int) -> Iterator[int]:
        """Numbers of the rounds; at least one."""
        for number in range(self._part(full, self.plan.rounds)):
            if number > 0 and self.over():
                return
            yield number
            self.noise_s.append(self.loop.run())

    def lines(self, full: int) -> int:
        return self._part(full, self.plan.lines)

    def sessions(self, full: int) -> int:
        return self._part(full, self.plan.sessions)

    def over(self) -> bool:
        return time.monotonic() > self.until

    def left_s(self) -> float:
        return max(0.0, self.until - time.monotonic())

    def seconds(self, full: float) -> float:
        """How long a load lasts."""
        return full / QUICK if self.plan.quick or self.plan.rounds is not None else full

    def shuffled(self, systems: Sequence[System]) -> list[System]:
        """Those that have not failed."""
        sound = self.sound(systems)
        return self.order.sample(sound, len(sound))

    def sound(self, systems: Sequence[System]) -> list[System]:
        return [system for system in systems if system.name not in self.failed]

    @contextmanager
    def trying(self, system: System) -> Generator[None]:
        """A block whose failure ends the measuring of this system only."""
        try:
            yield
        except TookTooLong:
            raise
        except (BenchFailed, OSError) as error:
            self.failed.add(system.name)
            self.missing[system.name] = f"{FAILED}: {error}"
            self.tell(f"{system.name} failed: {error}")

    def noise(self) -> Summary | None:
        return stats.summarize(self.noise_s) if self.noise_s else None

    def ready(self, systems: Sequence[System]) -> None:
        """Open the first session of each; a signal waits until they are there, so that what was started is known."""
        for system in systems:
            with self.trying(system), self.interrupts.held():
                system.evaluate("1+1")

    def open(self, system: System) -> Session:
        """One more session; a signal waits as for `ready`."""
        with self.interrupts.held():
            return system.open()

    @contextmanager
    def opened(self, system: System, count: int, at_once: int = 4) -> Generator[list[Session]]:
        """So many sessions, each of which has answered; closed at the end. The system remembers them too."""
        with self.interrupts.held():
            sessions = together(count, lambda _: system.open(), at_once)
        try:
            together(count, lambda number: sessions[number].evaluate("1+1"), at_once)
            yield sessions
        finally:
            with self.interrupts.held():
                together(count, lambda number: _close(sessions[number]), at_once)

    def _part(self, full: int, most: int | None) -> int:
        wanted = -(-full // QUICK) if self.plan.quick else full
        return max(1, wanted if most is None else min(wanted, most))


def together(count: int, do: Callable[[int], R], at_once: int | None = None) -> list[R]:
    """`do(0)` to `do(count - 1)` in threads, all of which have ended when it returns or raises.

    All begin at the same moment, unless only so many run `at_once`. Raises what the first failed one raised.
    """
    gate = threading.Barrier(count) if at_once is None else None

    def one(number: int) -> R:
        if gate is not None:
            gate.wait(30)
        return do(number)

    with ThreadPoolExecutor(at_once or count) as threads:
        return [future.result() for future in [threads.submit(one, number) for number in range(count)]]


def _close(session: Session) -> None:
    """What fails here is ended with its system."""
    with suppress(BenchFailed):
        session.close()


def timed(system: str, quantity: str, times_s: Sequence[float], sessions: int | None = None) -> Figure:
    """A set of times as a figure in milliseconds."""
    summary = stats.summarize(times_s)
    return Figure(
        system, quantity, "ms", summary.median_ms, summary.count, summary.p95_ms, summary.iqr_ms, sessions=sessions
    )


def spread(system: str, quantity: str, unit: str, values: Sequence[float]) -> Figure:
    """The median of some values, with their spread where there are several."""
    ordered = sorted(values)
    if len(ordered) == 1:
        return Figure(system, quantity, unit, ordered[0])
    quartile = stats.quantile(ordered, 0.25), stats.quantile(ordered, 0.75)
    p95 = stats.quantile(ordered, 0.95)
    return Figure(system, quantity, unit, stats.quantile(ordered, 0.5), len(ordered), p95, quartile[1] - quartile[0])
