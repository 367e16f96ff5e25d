"""Latency, CPU and memory over the number of sessions."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.ground import Ground, timed
from bench.load import closed_loop
from bench.measures.loops import figures, kernel_pids
from bench.measures.memory import beside_kernels_mib
from bench.processes import available_mib, pss_mib
from bench.protocol import Session, System
from bench.results import Figure

STEPS = (1, 4, 16, 64, 128)
BESIDE, EACH = "PSS beside the sessions", "PSS of a session"
SECONDS = 3.0
ALONE = 100
NEEDED_MIB = 100
"""a session, on the average"""
ONE_S = 0.7
"""what opening a session may take, by which a step that does not fit into the time is left out"""


@dataclass(slots=True)
class _Grown:
    """A system with the sessions that it has by now."""

    system: System
    sessions: list[Session] = field(default_factory=list[Session])
    kernels: list[int] = field(default_factory=list[int])


def measure(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """All systems grow step by step; at each step one session evaluates alone, then all do in a closed loop.

    A step for which memory or time does not suffice ends it.
    """
    grown = {system.name: _Grown(system) for system in systems}
    before = 0
    found: list[Figure] = []
    with ExitStack() as stack:
        for count in (step for step in STEPS if step <= ground.sessions(STEPS[-1])):
            new, before = count - before, count
            if reason := _refused(ground, new * len(grown)):
                ground.missing |= {system.name: f"from {count} sessions on: {reason}" for system in systems}
                break
            for system in ground.sound(systems):
                one = grown[system.name]
                with ground.trying(system):
                    one.sessions += stack.enter_context(ground.opened(system, new))
                    one.kernels = kernel_pids(one.sessions)
            for system in ground.shuffled(systems):
                with ground.trying(system):
                    found += _step(ground, grown[system.name], count)
    return found


def _refused(ground: Ground, new: int) -> str:
    if ground.left_s() < new * ONE_S and new > 2 * STEPS[0]:
        return "no time was left"
    if available_mib() < new * NEEDED_MIB:
        return f"{available_mib():.0f} MiB were free"
    return ""


def _step(ground: Ground, one: _Grown, count: int) -> list[Figure]:
    name = one.system.name
    alone_s: list[float] = []
    for _ in ground.rounds(ALONE):
        begun = time.perf_counter()
        one.sessions[0].evaluate("1+1")
        alone_s.append(time.perf_counter() - begun)
    load = closed_loop(one.system, one.sessions, one.kernels, ground.seconds(SECONDS))
    pids = [pid for session in one.sessions for pid in session.kernel()]
    return [
        timed(name, "one of them alone", alone_s, count),
        *figures(name, [load], count),
        Figure(name, BESIDE, "MiB", beside_kernels_mib(one.system, pids), sessions=count),
        Figure(name, EACH, "MiB", pss_mib(pids) / count, sessions=count),
    ]
