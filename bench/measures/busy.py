"""Completion while a cell runs: one that sleeps, one that computes in Python."""

import time
from collections.abc import Sequence

from bench.ground import Ground, timed
from bench.protocol import BenchFailed, System
from bench.results import Figure

ROUNDS = 3
CELL_S = 1.2
ASKED = 5
"""completions in one cell, as long as half of its time is left"""
CODES = {
    "sleeping": f"import os, time; print('begun', flush=True); time.sleep({CELL_S})",
    "computing": (
        f"import os, time; print('begun', flush=True); until = time.monotonic() + {CELL_S}\n"
        "while time.monotonic() < until: sum(range(100))"
    ),
}


def measure(ground: Ground, systems: Sequence[System]) -> list[Figure]:
    """A system that answers after the cell's end has its time in the table: about what the cell takes."""
    times_s: dict[tuple[str, str], list[float]] = {(system.name, kind): [] for system in systems for kind in CODES}
    ground.ready(systems)
    for system in ground.sound(systems):
        with ground.trying(system):
            system.complete("os.pa")  # jedi is imported once, by those that use it
    for _ in ground.rounds(ROUNDS):
        for system in ground.shuffled(systems):
            for kind, code in CODES.items():
                with ground.trying(system):
                    times_s[system.name, kind] += _ask(system, code, ASKED)
    return [
        timed(system.name, f"while {kind}", times_s[system.name, kind])
        for system in ground.sound(systems)
        for kind in CODES
    ]


def _ask(system: System, code: str, most: int) -> list[float]:
    system.begin(code)
    begun = time.monotonic()
    times_s: list[float] = []
    while not times_s or (len(times_s) < most and time.monotonic() - begun < CELL_S / 2):
        asked = time.perf_counter()
        found = system.complete("os.pa")
        times_s.append(time.perf_counter() - asked)
        if not any(text.endswith("path") for text in found):
            raise BenchFailed(f"{system.name}: completion of os.pa while a cell runs: {found[:20]}")
    system.finish()
    return times_s
