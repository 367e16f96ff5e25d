"""Many users at once: 20 sessions opened at the same moment, until all of them have a first result."""

import time
from collections.abc import Sequence

from bench.adapters.kernelwire import Kernelwire
from bench.ground import Ground, spread, timed, together
from bench.protocol import Session, System
from bench.results import Figure

ROUNDS = 3
SESSIONS = 20
QUANTITY = "all have a first result"


def measure(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """Where there is a log-in it is done before, once: checking a password is made to be slow."""
    all_s: dict[str, list[float]] = {system.name: [] for system in systems}
    logins_s: dict[str, list[float]] = {}
    for _ in ground.rounds(ROUNDS):
        for system in ground.shuffled(systems):
            with ground.trying(system):
                if isinstance(system, Kernelwire):
                    logins_s.setdefault(system.name, []).append(system.log_in())
                all_s[system.name].append(_arrive(ground, system))
    names = [system.name for system in ground.sound(systems)]
    figures = [spread(name, QUANTITY, "s", all_s[name]) for name in names]
    return figures + [timed(name, "log-in, password check included", times) for name, times in logins_s.items()]


def _arrive(ground: Ground, system: System) -> float:
    count = ground.sessions(SESSIONS)
    sessions: list[Session] = []

    def arrive(_: int) -> None:
        session = system.open()
        sessions.append(session)
        session.evaluate("1+1")

    with ground.interrupts.held():
        begun = time.perf_counter()
        together(count, arrive)
        took_s = time.perf_counter() - begun
        together(count, lambda number: sessions[number].close(), 4)
    return took_s
