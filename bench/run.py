"""One run: start the systems that a measure needs, measure, and end everything."""

import os
import platform
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path

from msgspec import Struct

from bench import systems
from bench.ground import Ground, Plan
from bench.interrupts import Interrupts
from bench.measures import MEASURES, Measure
from bench.noise import BusyLoop, other_work
from bench.protocol import BenchFailed, NotThere, System
from bench.results import ALL, FAILED, Figure, Report, Section

TOTAL_S = 660.0
"""what does not begin within it is left out, and said"""
LOOK_S = 0.5
"""how long the machine is looked at before a measure"""
MARGIN_S = 60.0
"""what a measure may take after its budget, for the round that was begun"""
PACKAGES = ("kernelwire", "ipykernel", "ipython", "pyzmq", "aiohttp", "jupyter_client")
PEER_PACKAGES = ("jupyter_server", "jupyter_kernel_gateway", "tornado")


class Wanted(Struct, frozen=True):
    """What is to be measured. Empty: all."""

    measures: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()

    def measured(self) -> list[Measure]:
        """In the order in which measures are run; those of none of the systems are left out."""
        measures = [one for one in MEASURES if not self.measures or one.name in self.measures]
        if self.systems:
            kept = [(one, tuple(name for name in one.systems if name in self.systems)) for one in measures]
            measures = [replace(one, systems=names) for one, names in kept if names]
        return measures


class Running:
    """The systems that run now. `close` ends them."""

    def __init__(self, directory: Path, tell: Callable[[str], None]) -> None:
        self._directory = directory
        self._tell = tell
        self._numbers = count()
        self._systems: dict[str, System] = {}

    def take(self, names: Sequence[str], missing: dict[str, str], *, fresh: bool) -> list[System]:
        """These systems, started; others are ended. Those that cannot be had go into `missing`. Raises BenchFailed."""
        self.end(name for name in list(self._systems) if fresh or name not in names)
        for name in names:
            if name not in self._systems:
                try:
                    system = systems.build(name, self._directory / str(next(self._numbers)))
                except NotThere as reason:
                    missing[name] = str(reason)
                    continue
                self._systems[name] = system
                self._tell(f"starting {name}")
                system.start()
        return [self._systems[name] for name in names if name in self._systems]

    def end(self, names: Iterable[str]) -> None:
        """End these, if they run."""
        for name in names:
            if name in self._systems:
                self._systems.pop(name).close()

    def close(self) -> None:
        for system in self._systems.values():
            system.close()
        self._systems.clear()


def run(plan: Plan, wanted: Wanted, interrupts: Interrupts, tell: Callable[[str], None]) -> Report:
    """Measure; returns after everything that was started has ended. `tell` hears what goes on.

    A measure that fails is a section without figures that says why. Raises KeyboardInterrupt from `interrupts`, with
    everything ended too.
    """
    begun, at = time.monotonic(), _now()
    sections: list[Section] = []
    loop = BusyLoop.calibrated()
    with tempfile.TemporaryDirectory(prefix="kwb-", ignore_cleanup_errors=True) as name:
        running = Running(Path(name), tell)
        try:
            for measure in wanted.measured():
                interrupts.check()
                left_s = TOTAL_S - (time.monotonic() - begun)
                order = random.Random(plan.seed)  # noqa: S311  an order, no secret
                until = time.monotonic() + min(measure.budget_s, left_s)
                ground = Ground(plan, order, interrupts, Path(name), tell, until, loop)
                sections.append(_section(measure, ground, running, left_s))
        finally:
            tell("stopping")
            running.close()
    return Report(
        begun=at,
        took_s=time.monotonic() - begun,
        versions=_versions(),
        machine=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpus=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        seed=plan.seed,
        quick=plan != Plan(seed=plan.seed) or bool(wanted.systems),
        systems={name: systems.ABOUT[name] for name in _measured(sections)},
        sections=sections,
    )


def _section(measure: Measure, ground: Ground, running: Running, left_s: float) -> Section:
    busy = other_work(LOOK_S)
    begun, at = time.monotonic(), _now()
    figures: list[Figure] = []
    if left_s <= 0:
        ground.missing |= dict.fromkeys(measure.systems, "no time was left")
    else:
        try:
            measured = running.take(measure.systems, ground.missing, fresh=measure.fresh)
            ground.tell(f"measuring {measure.name}")
            with ground.interrupts.allowed(max(0.0, ground.left_s()) + MARGIN_S):
                figures = measure.run(ground, measured)
        except (BenchFailed, OSError) as error:
            ground.missing[ALL] = f"{FAILED}: {error}"
            ground.tell(f"{measure.name} failed: {error}")
            running.close()  # what is left of it might disturb the next one
    running.end(ground.failed)
    figures = [figure for figure in figures if figure.system not in ground.failed]
    order = {name: number for number, name in enumerate(measure.systems)}
    figures = sorted(figures, key=lambda figure: order[figure.system])
    took_s = time.monotonic() - begun
    return Section(measure.name, measure.title, figures, ground.missing, ground.noise(), at, _source(), busy, took_s)


def _measured(sections: Sequence[Section]) -> list[str]:
    found = {figure.system for section in sections for figure in section.figures}
    return [name for name in systems.ABOUT if name in found]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _source() -> str:
    """As Section has it."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    env = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}  # it must not write the index that somebody else writes
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()


def _versions() -> dict[str, str]:
    ours = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return ours | systems.peer_versions(PEER_PACKAGES)
