"""A closed loop: every session has one client that evaluates `1+1`, and again as soon as it has the result."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.ground import together
from bench.processes import cpu_s
from bench.protocol import BenchFailed, Session, System


@dataclass(slots=True)
class Load:
    """What a closed loop came to. CPU in seconds."""

    times_s: list[float]
    wall_s: float
    server_s: float
    kernel_s: float
    client_s: float

    @property
    def evaluations(self) -> int:
        return len(self.times_s)

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.times_s + other.times_s,
            self.wall_s + other.wall_s,
            self.server_s + other.server_s,
            self.kernel_s + other.kernel_s,
            self.client_s + other.client_s,
        )


def closed_loop(system: System, sessions: Sequence[Session], kernels: Sequence[int], seconds: float) -> Load:
    """All sessions at the same time, each in a thread, for so many seconds. `kernels`: their processes.

    Raises BenchFailed.
    """
    servers = [pid for pids in system.servers().values() for pid in pids]
    stop = threading.Event()

    def work(number: int) -> list[float]:
        times_s: list[float] = []
        session = sessions[number]
        while not stop.is_set() and time.monotonic() < until:
            begun = time.perf_counter()
            found = session.evaluate("1+1")
            times_s.append(time.perf_counter() - begun)
            if found != "2":
                raise BenchFailed(f"{system.name}: 1+1 is {found[:200]!r}")
        return times_s

    before = cpu_s(servers), cpu_s(kernels), cpu_s([os.getpid()])
    begun = time.monotonic()
    until = begun + seconds
    try:
        found = together(len(sessions), work)
    finally:
        stop.set()
    wall_s = time.monotonic() - begun
    return Load(
        [took_s for times in found for took_s in times],
        wall_s,
        cpu_s(servers) - before[0],
        cpu_s(kernels) - before[1],
        cpu_s([os.getpid()]) - before[2],
    )
