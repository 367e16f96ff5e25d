"""The measures, by name, in the order in which they are run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import systems
from bench.ground import Ground
from bench.measures import arrivals, busy, calls, cpu, floods, loops, memory, opening, polls, scaling
from bench.protocol import System
from bench.results import Figure


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured of which systems."""

    name: str
    title: str
    systems: tuple[str, ...]
    run: Callable[[Ground, Sequence[System]], list[Figure]]
    budget_s: float
    """no further round is begun after it"""
    fresh: bool = False
    """whether the systems must be new ones"""


_KINDS = (systems.RAW_STOCK, systems.RAW_LAUNCHER, "jupyter-client", systems.OURS, "server", "gateway")
_SERVING = (systems.OURS, *systems.NETWORKED)

MEASURES: tuple[Measure, ...] = (
    Measure("evaluate", "Evaluate `1+1`", systems.MAIN, calls.EVALUATE.measure, 60),
    Measure("inspect", "Inspect `len`", systems.MAIN, calls.INSPECT.measure, 45),
    Measure(
        "evaluate-row", f"Evaluate `1+1`, {calls.ROW} calls in a row", systems.MAIN, calls.EVALUATE_ROW.measure, 60
    ),
    Measure("inspect-row", f"Inspect `len`, {calls.ROW} calls in a row", systems.MAIN, calls.INSPECT_ROW.measure, 45),
    Measure("complete-live", "Complete what has been executed", systems.MAIN, calls.COMPLETE_LIVE.measure, 45),
    Measure("complete-jedi", "Complete what needs jedi", systems.MAIN, calls.COMPLETE_JEDI.measure, 45),
    Measure("cpu", "CPU of one session", systems.MAIN, cpu.measure, 45),
    Measure("busy", "Complete while a cell runs", _KINDS, busy.measure, 45),
    Measure("flushed", "20,000 lines, each flushed", systems.MAIN, floods.measure_flushed, 60),
    Measure("stopped", "The same, the reader stopped for 4 s in the middle", _KINDS, floods.measure_stopped, 90),
    Measure("written", "200,000 lines of 100 bytes in one write", _KINDS, floods.measure_written, 60),
    Measure("idle", "Memory of a service that nobody uses", _SERVING, memory.measure_idle, 30, fresh=True),
    Measure(
        "opening",
        "From opening a session to its first result",
        (
            systems.RAW_STOCK,
            "jupyter-client",
            systems.PLAIN,
            systems.FORK,
            systems.POOL,
            "server-nodelay",
            "gateway-nodelay",
        ),
        opening.measure,
        60,
    ),
    Measure(
        "arrivals",
        "20 sessions opened at the same moment, until all have a first result",
        (systems.OURS, "server-nodelay", "gateway-nodelay"),
        arrivals.measure,
        60,
    ),
    Measure("loops", "16 sessions in a closed loop", _SERVING, loops.measure, 75),
    Measure("memory", "Memory of 50 sessions", (systems.OURS, "server"), memory.measure_bare, 60, fresh=True),
    Measure(
        "scientific",
        "Memory of 50 sessions that have imported numpy, sympy and matplotlib.pyplot",
        (systems.SCIENTIFIC, "server"),
        memory.measure_scientific,
        90,
        fresh=True,
    ),
    Measure("polls", "5,000 long polls held by one front", (systems.POLLED,), polls.measure, 60, fresh=True),
    Measure("scaling", "1 to 128 sessions", (systems.OURS, "server-nodelay"), scaling.measure, 240, fresh=True),
)
BY_NAME = {measure.name: measure for measure in MEASURES}
