"""5,000 long polls that wait in one front, and what other calls take meanwhile."""

import re
import resource
import time
import urllib.request
from collections.abc import Sequence

from bench.adapters.held_polls import HeldPolls
from bench.adapters.kernelwire import Kernelwire
from bench.ground import Ground, timed
from bench.processes import cpu_s, pss_mib
from bench.protocol import BenchFailed, System
from bench.results import Figure

POLLS = 5_000
SESSIONS = 50
"""whose logs are polled; none of them has a kernel"""
WAIT_S = 120
ROUNDS = 200
HELD_S = 20.0
"""until all polls have arrived"""
IDLE_S = 2.0
SPARE_FDS = 200
GAUGE = re.compile(r"^kernelwire_long_polls(?:\{[^}]*\})? (\d+)", re.MULTILINE)


def measure(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """Raises BenchFailed when polls are refused, or answered although nothing happened."""
    return [figure for system in systems if isinstance(system, Kernelwire) for figure in _polls(ground, system)]


def _polls(ground: Ground, system: Kernelwire) -> list[Figure]:
    count = ground.sessions(POLLS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if count + SPARE_FDS > hard:
        ground.missing[system.name] = f"{count} connections need more than the {hard} descriptors allowed here"
        return []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + SPARE_FDS), hard))
    ground.ready([system])
    alone = _evaluate(ground, system)
    before_mib = _front_mib(system)
    with ground.interrupts.held():
        idle = [system.open() for _ in range(min(SESSIONS, count))]
    polls = HeldPolls(system.url, system.token(), WAIT_S)
    try:
        polls.add([idle[number % len(idle)].id for number in range(count)])
        held = _wait_held(system, count)
        beside = _evaluate(ground, system)
        front_mib = _front_mib(system) - before_mib
        idle_cpu = _idle_cpu(system)
        woken = -(-count // len(idle))
        if (early := polls.answered(count, 0.01)) != 0:
            raise BenchFailed(f"{early} of {count} idle polls were answered or cut")
        idle[0].evaluate("1+1")
        answered = polls.answered(woken, 10)
    finally:
        polls.close()
        for session in idle:
            session.close()
    alone += _evaluate(ground, system)
    name = system.name
    return [
        Figure(name, "held", "polls", held),
        timed(name, "evaluate, without polls", alone),
        timed(name, "evaluate, beside the polls", beside),
        Figure(name, "front, a poll", "KiB", 1024 * front_mib / count),
        Figure(name, "front CPU while nothing happens", "s / s", idle_cpu),
        Figure(name, f"woken, of {woken}", "polls", answered),
    ]


def _evaluate(ground: Ground, system: System) -> list[float]:
    times_s: list[float] = []
    for _ in ground.rounds(ROUNDS):
        begun = time.perf_counter()
        system.evaluate("1+1")
        times_s.append(time.perf_counter() - begun)
    return times_s


def _wait_held(system: Kernelwire, count: int) -> int:
    """How many the front says that it holds; returns when it is all of them, or after HELD_S."""
    until = time.monotonic() + HELD_S
    while (held := _held(system)) < count and time.monotonic() < until:
        time.sleep(0.2)
    return held


def _held(system: Kernelwire) -> int:
    with urllib.request.urlopen(f"{system.url}/metrics", timeout=10) as answer:  # noqa: S310  our own service
        found = GAUGE.search(answer.read().decode())
    if found is None:
        raise BenchFailed("/metrics does not say how many calls wait")
    return int(found[1])


def _front_mib(system: Kernelwire) -> float:
    return pss_mib(system.servers()["front"])


def _idle_cpu(system: Kernelwire) -> float:
    front = system.servers()["front"]
    before, begun = cpu_s(front), time.monotonic()
    time.sleep(IDLE_S)
    return (cpu_s(front) - before) / (time.monotonic() - begun)
