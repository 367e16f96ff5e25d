"""Sixteen sessions in a closed loop: how long a call takes then, and what the servers spend on it."""

from collections.abc import Sequence
from contextlib import ExitStack

from bench.ground import Ground, timed, together
from bench.load import Load, closed_loop
from bench.protocol import Session, System
from bench.results import Figure

ROUNDS = 3
SESSIONS = 16
SECONDS = 2.0


def measure(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """The systems take turns; those that wait are idle, with their sessions open."""
    count = ground.sessions(SESSIONS)
    loads: dict[str, list[Load]] = {system.name: [] for system in systems}
    with ExitStack() as stack:
        sessions: dict[str, list[Session]] = {}
        kernels: dict[str, list[int]] = {}
        for system in systems:
            with ground.trying(system):
                opened = sessions[system.name] = stack.enter_context(ground.opened(system, count))
                kernels[system.name] = kernel_pids(opened)
        for _ in ground.rounds(ROUNDS):
            for system in ground.shuffled(systems):
                name = system.name
                with ground.trying(system):
                    load = closed_loop(system, sessions[name], kernels[name], ground.seconds(SECONDS))
                    loads[name].append(load)
    return [figure for system in ground.sound(systems) for figure in figures(system.name, loads[system.name])]


def kernel_pids(sessions: Sequence[Session]) -> list[int]:
    """The kernels alone, without what stands beside them."""
    return together(len(sessions), lambda number: sessions[number].kernel()[0], 4)


def figures(name: str, loads: Sequence[Load], sessions: int | None = None) -> list[Figure]:
    total = sum(loads[1:], loads[0])
    rows = [
        timed(name, "time", total.times_s, sessions),
        Figure(name, "evaluations", "/ s", total.evaluations / total.wall_s, sessions=sessions),
        Figure(name, "server CPU", "ms / evaluation", 1000 * total.server_s / total.evaluations, sessions=sessions),
        Figure(name, "kernel CPU", "ms / evaluation", 1000 * total.kernel_s / total.evaluations, sessions=sessions),
        Figure(name, "client CPU", "ms / evaluation", 1000 * total.client_s / total.evaluations, sessions=sessions),
    ]
    if total.server_s > 0:
        each = total.evaluations / total.server_s
        rows.append(Figure(name, "evaluations a server CPU second", "/ s", each, sessions=sessions))
    return rows
