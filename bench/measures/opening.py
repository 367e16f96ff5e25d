"""From nothing to the first result: a session is opened and evaluates `1+1`."""

import time
from collections.abc import Sequence

from bench.ground import Ground, timed
from bench.protocol import BenchFailed, System
from bench.results import Figure

ROUNDS = 10
QUANTITY = "first result"


def measure(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """Every system opens one session a round and closes it outside of the time; the others' turns fill pools again."""
    times_s: dict[str, list[float]] = {system.name: [] for system in systems}
    for system in systems:
        with ground.trying(system):
            _open(ground, system)  # the first one pays for imports and files that are read once
    for _ in ground.rounds(ROUNDS):
        for system in ground.shuffled(systems):
            with ground.trying(system):
                times_s[system.name].append(_open(ground, system))
    return [timed(system.name, QUANTITY, times_s[system.name]) for system in ground.sound(systems)]


def _open(ground: Ground, system: System) -> float:
    begun = time.perf_counter()
    session = ground.open(system)
    found = session.evaluate("1+1")
    took_s = time.perf_counter() - begun
    with ground.interrupts.held():
        session.close()
    if found != "2":
        raise BenchFailed(f"{system.name}: 1+1 is {found[:200]!r}")
    return took_s
