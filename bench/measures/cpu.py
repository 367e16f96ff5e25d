"""What evaluations of one session cost in CPU time, apart for the servers and for the kernel."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.ground import Ground
from bench.processes import cpu_s
from bench.protocol import System
from bench.results import Figure

ROUNDS = 4
BLOCK = 50
"""evaluations in a row: the clock of /proc ticks each 10 ms, so single ones cannot be measured"""


@dataclass(slots=True)
class _Used:
    evaluations: int = 0
    server_s: float = 0.0
    kernel_s: float = 0.0


def measure(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """`1+1` on each system, in blocks, their order shuffled."""
    used = {system.name: _Used() for system in systems}
    ground.ready(systems)
    for _ in ground.rounds(ROUNDS):
        for system in ground.shuffled(systems):
            with ground.trying(system):
                _block(system, ground.lines(BLOCK), used[system.name])
    return [
        Figure(name, quantity, "s / 1,000 evaluations", 1000 * seconds / total.evaluations, total.evaluations)
        for name, total in ((system.name, used[system.name]) for system in ground.sound(systems))
        for quantity, seconds in (("server CPU", total.server_s), ("kernel CPU", total.kernel_s))
    ]


def _block(system: System, evaluations: int, used: _Used) -> None:
    processes = system.processes()
    server_s, kernel_s = cpu_s(processes.server), cpu_s([processes.kernel])
    for _ in range(evaluations):
        system.evaluate("1+1")
    used.evaluations += evaluations
    used.server_s += cpu_s(processes.server) - server_s
    used.kernel_s += cpu_s([processes.kernel]) - kernel_s
