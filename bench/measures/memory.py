"""Memory of 50 sessions and of a service with none, as PSS: shared pages count once."""

import time
from collections.abc import Sequence

from bench.adapters.kernelwire import Kernelwire
from bench.ground import Ground, together
from bench.processes import available_mib, children, pss_mib
from bench.protocol import BenchFailed, Session, System
from bench.results import Figure

SESSIONS = 50
NEEDED_MIB = 150
"""a session, generously: with less memory than that the machine is spared the measure"""
BARE = "1+1"
SCIENTIFIC = "import numpy, sympy, matplotlib.pyplot"
SETTLE_S = 10.0
UNIT = "MiB"


def measure_bare(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """Every session has evaluated `1+1`. One system after the other: all at once would not fit."""
    return _all(ground, systems, BARE)


def measure_scientific(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """Every session has imported numpy, sympy and matplotlib.pyplot."""
    return _all(ground, systems, SCIENTIFIC)


def measure_idle(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """Nobody has logged in, no session is open. Fork servers are counted apart."""
    figures: list[Figure] = []
    for system in systems:
        with ground.trying(system):
            figures += _idle(system)
    return figures


def _idle(system: System) -> list[Figure]:
    _settle(system)
    each = {role: pss_mib(pids) for role, pids in _roles(system).items()}
    parts = [Figure(system.name, f"of it {role}", UNIT, value) for role, value in each.items() if len(each) > 1]
    return [Figure(system.name, "idle", UNIT, sum(each.values())), *parts, *_forking(system, ())]


def beside_kernels_mib(system: System, sessions: Sequence[int]) -> float:
    """All that a system runs beside the processes of its sessions: supervisor and fork servers too."""
    servers = sum(pss_mib(pids) for pids in _roles(system).values())
    return servers + sum(figure.value for figure in _forking(system, sessions))


def _roles(system: System) -> dict[str, tuple[int, ...]]:
    supervisor = {"supervisor": (system.supervisor(),)} if isinstance(system, Kernelwire) else {}
    return supervisor | system.servers()


def _all(ground: Ground, systems: Sequence[System], code: str) -> list[Figure]:
    figures: list[Figure] = []
    for system in systems:
        with ground.trying(system):
            figures += _sessions(ground, system, code)
    return figures


def _sessions(ground: Ground, system: System, code: str) -> list[Figure]:
    count = ground.sessions(SESSIONS)
    if available_mib() < count * NEEDED_MIB:
        ground.missing[system.name] = f"{count} sessions may need more than the {available_mib():.0f} MiB that are free"
        return []
    with ground.opened(system, 1) as first:
        first[0].evaluate(code)
        _settle(system)  # a fork server may begin with the first kernel
    with ground.opened(system, count) as sessions:
        together(count, lambda number: sessions[number].evaluate(code), 4)
        kernels = [session.kernel() for session in sessions]
        pids = [pid for one in kernels for pid in one]
        figures = [
            Figure(system.name, "a session", UNIT, pss_mib([pid for one in kernels for pid in one[:2]]) / count),
            Figure(system.name, "all in, with the sandbox's init", UNIT, pss_mib(pids) / count),
            Figure(system.name, "of it the kernel", UNIT, pss_mib([one[0] for one in kernels]) / count),
            Figure(system.name, "all beside the sessions", UNIT, beside_kernels_mib(system, pids)),
            *_forking(system, pids),
        ]
        _check(sessions)
    return figures


def _forking(system: System, sessions: Sequence[int]) -> list[Figure]:
    """Fork servers: what kernelwire's host has started beside the processes of `sessions`."""
    hosts = system.servers().get("host", ())
    pids = {pid for host in hosts for pid in children(host)} - set(sessions)
    return [Figure(system.name, "fork servers alone", UNIT, pss_mib(sorted(pids)))] if pids else []


def _settle(system: System) -> None:
    """Return when the servers and what they started have stopped to grow, or after SETTLE_S."""
    until = time.monotonic() + SETTLE_S
    size, before = _all_mib(system), 0.0
    while abs(size - before) > 1 and time.monotonic() < until:
        time.sleep(SETTLE_S / 10)
        size, before = _all_mib(system), size


def _all_mib(system: System) -> float:
    pids = [pid for pids in system.servers().values() for pid in pids]
    return pss_mib(pids + [below for pid in pids for below in children(pid)])


def _check(sessions: Sequence[Session]) -> None:
    if any(session.evaluate("1+1") != "2" for session in sessions[:3]):
        raise BenchFailed("a session gave a wrong answer")
