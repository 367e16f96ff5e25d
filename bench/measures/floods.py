"""Floods of output: many flushed lines, the same with the reader's side stopped, and all lines in one write."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from bench.ground import Ground, spread
from bench.processes import cpu_s
from bench.protocol import System
from bench.results import Figure

FLUSHED = 20_000
WRITTEN = 200_000
"""of 100 bytes: 20 MB"""
WRITE_ROUNDS = 3
STOPPED_S = 4.0
STOP_AFTER = 10
"""a process is stopped when this part of the lines has come: one in so many"""


def measure_flushed(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """Each line printed and flushed."""
    lines = ground.lines(FLUSHED)
    ground.ready(systems)
    figures: list[Figure] = []
    for system in ground.shuffled(systems):
        with ground.trying(system):
            figures += _flood(system, _flushed(lines), lines)
    return figures


def measure_stopped(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """What reads the kernel's output is stopped by SIGSTOP for STOPPED_S in the middle."""
    lines = ground.lines(FLUSHED)
    ground.ready(systems)
    figures: list[Figure] = []
    for system in ground.shuffled(systems):
        with ground.trying(system), _Stopper(system, lines // STOP_AFTER) as stopper:
            figures += _flood(system, _flushed(lines), lines, stopper.hear)
            figures.append(Figure(system.name, "lines before the stop", "", stopper.heard_before))
    return figures


def measure_written(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """One write of all lines, in rounds, for its time is compared; the rest is of the round that lost most."""
    lines = ground.lines(WRITTEN)
    ground.ready(systems)
    code = f"import sys; _ = sys.stdout.write(''.join(f'{{line:099d}}\\n' for line in range({lines})))"
    walls_s: dict[str, list[float]] = {system.name: [] for system in systems}
    figures: dict[str, list[Figure]] = {}
    for _ in ground.rounds(WRITE_ROUNDS):
        for system in ground.shuffled(systems):
            with ground.trying(system):
                found = _flood(system, code, lines)
                walls_s[system.name].append(next(figure.value for figure in found if figure.quantity == "wall"))
                if system.name not in figures or found[0].value > figures[system.name][0].value:
                    figures[system.name] = [figure for figure in found if figure.quantity != "wall"]
    names = [system.name for system in ground.sound(systems)]
    return [figure for name in names for figure in (*figures[name], spread(name, "wall", "s", walls_s[name]))]


def _flushed(lines: int) -> str:
    return f"for line in range({lines}):\n    print(line, flush=True)"


def _flood(system: System, code: str, lines: int, hear: Callable[[str], None] | None = None) -> list[Figure]:
    """What came of so many lines; what was lost first."""
    processes = system.processes()
    server_s, kernel_s = cpu_s(processes.server), cpu_s([processes.kernel])
    begun = time.perf_counter()
    texts = system.stream(code, hear)
    wall_s = time.perf_counter() - begun
    received = [int(line) for line in "".join(texts).splitlines() if line.isdecimal()]
    name = system.name
    return [
        Figure(name, "lost", f"of {lines:,} lines", len(set(range(lines)) - set(received))),
        Figure(name, "doubled", "lines", len(received) - len(set(received))),
        Figure(name, "out of order", "lines", sum(second < first for first, second in pairwise(received))),
        Figure(name, "messages", "", len(texts)),
        Figure(name, "wall", "s", wall_s),
        Figure(name, "server CPU", "s", cpu_s(processes.server) - server_s),
        Figure(name, "kernel CPU", "s", cpu_s([processes.kernel]) - kernel_s),
    ]


class _Stopper:
    """Stops what reads the kernel's output when enough lines have come; where that is the client, it stops reading."""

    def __init__(self, system: System, after: int) -> None:
        servers = system.servers()
        self._pids = servers.get("host") or servers.get("server") or ()
        self._after = after
        self._timer = threading.Timer(STOPPED_S, self._go_on)
        self.heard_before = 0
        self._stopped = False

    def hear(self, text: str) -> None:
        if self._stopped:
            return
        self.heard_before += text.count("\n")
        if self.heard_before >= self._after:
            self._stopped = True
            if not self._pids:
                time.sleep(STOPPED_S)
                return
            for pid in self._pids:
                os.kill(pid, signal.SIGSTOP)
            self._timer.start()

    def __enter__(self) -> "_Stopper":
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever happened, nothing stays stopped."""
        self._timer.cancel()
        self._go_on()

    def _go_on(self) -> None:
        for pid in self._pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue
