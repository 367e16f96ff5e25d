"""One run: start the systems, measure, end them."""

import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

from bench import cpu, flood, latency
from bench.adapters.kernelwire import Kernelwire
from bench.adapters.raw import STOCK, RawKernel, launched
from bench.interrupts import Interrupts
from bench.latency import OPERATIONS
from bench.protocol import System
from bench.results import Report
from kernel_bridge import launch

WARM_UP = 10
MEASURES = (*(operation.name for operation in OPERATIONS), "cpu", "flood")
PACKAGES = ("kernelwire", "ipykernel", "ipython", "pyzmq", "aiohttp")


class Plan(Struct, frozen=True):
    """What to measure, and how much of it."""

    rounds: int
    """also the number of evaluations for CPU time"""
    lines: int
    """of the flood"""
    seed: int
    only: tuple[str, ...] = MEASURES


def systems(directory: Path) -> list[System]:
    """All that are compared; each works in a directory of its own below `directory`. Nothing is started."""
    launcher = Path(launch.__file__).with_name("launcher.py")
    return [
        RawKernel(
            latency.STOCK, "a stock ipykernel over ipc; blocking pyzmq, all on shell", STOCK, directory / "stock"
        ),
        RawKernel(
            latency.LAUNCHER,
            "the same under kernelwire's launcher; blocking pyzmq, all on shell",
            launched(launcher),
            directory / "launcher",
        ),
        Kernelwire(directory / "kernelwire"),
    ]


def run(plan: Plan, interrupts: Interrupts, tell: Callable[[str], None]) -> Report:
    """Measure; returns after everything that was started has ended. `tell` hears what goes on.

    Raises BenchFailed, and KeyboardInterrupt from `interrupts`, with everything ended too.
    """
    begun = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kwb-")))
        compared = systems(directory)
        for system in compared:
            stack.callback(system.close)
        for system in compared:
            interrupts.check()
            tell(f"starting {system.name}")
            system.start()
        with interrupts.allowed():
            report = _measure(plan, compared, tell)
        tell("stopping")
    return msgspec.structs.replace(report, took_s=time.monotonic() - begun)


def _measure(plan: Plan, compared: Sequence[System], tell: Callable[[str], None]) -> Report:
    order = random.Random(plan.seed)  # noqa: S311  an order, no secret
    operations = [operation for operation in OPERATIONS if operation.name in plan.only]
    tell("measuring")
    found = latency.measure(compared, operations, plan.rounds, WARM_UP, order) if operations else latency.Latency()
    cpu_rows = cpu.measure(compared, plan.rounds, order) if "cpu" in plan.only else []
    flood_rows = flood.measure(compared, plan.lines, order) if "flood" in plan.only else []
    return Report(
        versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        machine=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpus=len(os.sched_getaffinity(0)),
        seed=plan.seed,
        rounds=found.rounds,
        systems={system.name: system.about for system in compared},
        latency=found.rows(),
        cpu=cpu_rows,
        flood=flood_rows,
        noise=found.noise(),
        took_s=0.0,
    )
