"""A flood of output: many lines, each flushed, received while they are printed."""

import random
import time
from collections.abc import Sequence
from itertools import pairwise

from bench.processes import cpu_s
from bench.protocol import System
from bench.results import FloodRow


def measure(systems: Sequence[System], lines: int, order: random.Random) -> list[FloodRow]:
    """One flood of `lines` lines on each system, in a shuffled order. Raises BenchFailed."""
    shuffled = list(systems)
    order.shuffle(shuffled)
    rows = {system.name: _flood(system, lines) for system in shuffled}
    return [rows[system.name] for system in systems]


def _flood(system: System, lines: int) -> FloodRow:
    processes = system.processes()
    server_s, kernel_s = cpu_s(processes.server), cpu_s([processes.kernel])
    begun = time.perf_counter()
    texts = system.stream(f"for line in range({lines}):\n    print(line, flush=True)")
    wall_s = time.perf_counter() - begun
    received = [int(line) for line in "".join(texts).splitlines() if line.isdecimal()]
    return FloodRow(
        system=system.name,
        lines=lines,
        lost=len(set(range(lines)) - set(received)),
        messages=len(texts),
        in_order=all(first < second for first, second in pairwise(received)),
        wall_s=wall_s,
        server_cpu_s=cpu_s(processes.server) - server_s,
        kernel_cpu_s=cpu_s([processes.kernel]) - kernel_s,
    )
