"""What evaluations cost in CPU time, apart for the service and for the kernel."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.processes import cpu_s
from bench.protocol import System
from bench.results import CpuRow

BLOCK = 50
"""evaluations in a row: the clock of /proc ticks each 10 ms, so single ones cannot be measured"""
BUDGET_S = 120.0
"""after this time no further block is begun"""


@dataclass(slots=True)
class _Used:
    evaluations: int = 0
    server_s: float = 0.0
    kernel_s: float = 0.0


def measure(systems: Sequence[System], evaluations: int, order: random.Random) -> list[CpuRow]:
    """`evaluations` (>= 1) of `1+1` on each system, in blocks, their order shuffled; fewer if BUDGET_S is over.

    Raises BenchFailed.
    """
    used = {system.name: _Used() for system in systems}
    shuffled = list(systems)
    until = time.monotonic() + BUDGET_S
    for begun in range(0, evaluations, BLOCK):
        if begun > 0 and time.monotonic() > until:
            break
        order.shuffle(shuffled)
        for system in shuffled:
            _block(system, min(BLOCK, evaluations - begun), used[system.name])
    return [
        CpuRow(
            name,
            total.evaluations,
            1000 * total.server_s / total.evaluations,
            1000 * total.kernel_s / total.evaluations,
        )
        for name, total in used.items()
    ]


def _block(system: System, evaluations: int, used: _Used) -> None:
    processes = system.processes()
    server_s, kernel_s = cpu_s(processes.server), cpu_s([processes.kernel])
    for _ in range(evaluations):
        system.evaluate("1+1")
    used.evaluations += evaluations
    used.server_s += cpu_s(processes.server) - server_s
    used.kernel_s += cpu_s([processes.kernel]) - kernel_s
