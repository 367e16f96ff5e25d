"""How long operations take: rounds in which every system does every operation once, in a shuffled order."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench import stats
from bench.noise import BusyLoop
from bench.protocol import BenchFailed, System
from bench.results import LatencyRow
from bench.stats import Summary

STOCK, LAUNCHER = "raw-stock", "raw-launcher"
BUDGET_S = 300.0
"""after this time no further round is begun"""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is timed, and how its answer is checked outside of the time."""

    name: str
    about: str
    prepare: Callable[[System], object]
    run: Callable[[System], object]
    right: Callable[[object], bool]


def _nothing(_: System) -> None:
    pass


OPERATIONS = (
    Operation("evaluate", "evaluate 1+1", _nothing, lambda system: system.evaluate("1+1"), lambda found: found == "2"),
    Operation(
        "inspect",
        "inspect len",
        _nothing,
        lambda system: system.inspect("len"),
        lambda found: isinstance(found, str) and "Return the number of items" in found,
    ),
    Operation(
        "complete",
        "complete os.pa after import os",
        lambda system: system.evaluate("import os"),
        lambda system: system.complete("os.pa"),
        lambda found: isinstance(found, list) and any(str(text).endswith("path") for text in found),  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    ),
)


@dataclass(slots=True)
class Latency:
    """Times by operation and system, and those of the busy loop."""

    rounds: int = 0
    times_s: dict[tuple[str, str], list[float]] = field(default_factory=dict[tuple[str, str], list[float]])
    noise_s: list[float] = field(default_factory=list[float])

    def rows(self) -> list[LatencyRow]:
        summaries = {key: stats.summarize(times) for key, times in self.times_s.items()}
        return [
            LatencyRow(
                operation,
                system,
                summary,
                stats.ratio(summary, summaries.get((operation, STOCK))),
                stats.ratio(summary, summaries.get((operation, LAUNCHER))),
            )
            for (operation, system), summary in summaries.items()
        ]

    def noise(self) -> Summary | None:
        return stats.summarize(self.noise_s) if self.noise_s else None


def measure(
    systems: Sequence[System], operations: Sequence[Operation], rounds: int, warm_up: int, order: random.Random
) -> Latency:
    """`warm_up` rounds that do not count, then `rounds` (>= 1), fewer if BUDGET_S is over.

    Raises BenchFailed when a system fails or answers wrongly.
    """
    found = Latency(times_s={(op.name, system.name): [] for op in operations for system in systems})
    loop = BusyLoop.calibrated()
    for operation in operations:
        for system in systems:
            operation.prepare(system)
    until = time.monotonic() + BUDGET_S
    pairs = [(operation, system) for operation in operations for system in systems]
    for number in range(-warm_up, rounds):
        if number > 0 and time.monotonic() > until:
            break
        order.shuffle(pairs)
        for operation, system in pairs:
            took_s = _timed(operation, system)
            if number >= 0:
                found.times_s[operation.name, system.name].append(took_s)
        if number >= 0:
            found.noise_s.append(loop.run())
            found.rounds += 1
    return found


def _timed(operation: Operation, system: System) -> float:
    begun = time.perf_counter()
    answer = operation.run(system)
    took_s = time.perf_counter() - begun
    if not operation.right(answer):
        raise BenchFailed(f"{system.name}: {operation.about}: wrong answer {str(answer)[:200]!r}")
    return took_s
