"""What the processes of a service cost, and whether that grows. Sources: proc(5), proc_pid_smaps(5)."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from tests.e2e.processes import Process

MIB = 1 << 20
MEMORY_FACTOR = 1.10
MEMORY_BYTES = 8 * MIB
CELL_BYTES = 512
"""a host keeps an entry for every cell that ended, until its session is deleted: that is allowed to grow"""
DESCRIPTORS = 16


class Cost(Struct, frozen=True):
    """Of all processes with one role. Sizes are bytes."""

    processes: int
    descriptors: int
    rss: int
    pss: int


class Sample(Struct, frozen=True):
    """One moment. `at_s`: since the users began."""

    at_s: float
    cells: int
    """evaluated so far"""
    log_bytes: int
    """below `sessions/`"""
    roles: dict[str, Cost]


class Trend(Struct, frozen=True):
    """Medians of the first and the last third of a run, and what the last may be."""

    what: str
    first: float
    last: float
    most: float | None
    """None: nothing is asked of it"""

    @property
    def fine(self) -> bool:
        return self.most is None or self.last <= self.most


ROLES = ("supervisor", "front", "host", "kernels")


def role(process: Process) -> str:
    """One of ROLES."""
    for word, name in (("_front", "front"), ("_host", "host"), ("serve", "supervisor")):
        if word in process.command:
            return name
    return "kernels"


def take(at_s: float, cells: int, state_dir: Path, running: Iterable[Process]) -> Sample:
    """Processes that end meanwhile count for nothing."""
    costs: dict[str, list[Cost]] = {name: [] for name in ROLES}
    for process in running:
        try:
            costs[role(process)].append(_cost(process.pid))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Sample(round(at_s, 1), cells, _size(state_dir / "sessions"), {name: _sum(of) for name, of in costs.items()})


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """What of it is watched. Needs three samples at least."""
    third = len(samples) // 3
    first, last = samples[:third], samples[-third:]

    def medians(value: Callable[[Sample], float]) -> tuple[float, float]:
        return statistics.median(map(value, first)), statistics.median(map(value, last))

    cells = [statistics.median(sample.cells for sample in part) for part in (first, last)]
    found: list[Trend] = []
    for name in ROLES:
        count = medians(lambda sample, name=name: sample.roles[name].descriptors)
        before, after = medians(lambda sample, name=name: sample.roles[name].pss)
        watched = name != "kernels"  # what users have in them is theirs
        kept = CELL_BYTES * (cells[1] - cells[0]) if name == "host" else 0
        most = before * MEMORY_FACTOR + MEMORY_BYTES + kept
        found.append(Trend(f"{name}: descriptors", *count, count[0] + DESCRIPTORS if watched else None))
        found.append(Trend(f"{name}: memory (MiB PSS)", before / MIB, after / MIB, most / MIB if watched else None))
    before, after = medians(lambda sample: sum(cost.processes for cost in sample.roles.values()))
    found.append(Trend("processes", before, after, before * 1.1 + 4))
    before, after = medians(lambda sample: sample.log_bytes)
    found.append(Trend("logs (MiB)", before / MIB, after / MIB, None))
    return found


def _cost(pid: int) -> Cost:
    proc = Path(f"/proc/{pid}")
    sizes = {line.split(":")[0]: line.split() for line in (proc / "smaps_rollup").read_text().splitlines()[1:]}
    rss, pss = (int(sizes[name][1]) << 10 for name in ("Rss", "Pss"))
    return Cost(1, sum(1 for _ in (proc / "fd").iterdir()), rss, pss)


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(
        sum(cost.processes for cost in costs),
        sum(cost.descriptors for cost in costs),
        sum(cost.rss for cost in costs),
        sum(cost.pss for cost in costs),
    )


def _size(directory: Path) -> int:
    total = 0
    for path in directory.glob("*/*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
