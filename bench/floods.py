"""`python -m bench.floods`: what becomes of floods of output, kernelwire beside raw 0MQ, and what memory they take.

Exit codes: 0 done, 1 a system failed, 2 wrong usage, 3 kernelwire lost, doubled or mixed up something, 130 interrupted.
"""

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from bench.interrupts import Interrupts
from bench.processes import cpu_s, peak_mib, reset_peak
from bench.protocol import BenchFailed, System
from bench.systems import OURS, RAW_LAUNCHER, RAW_STOCK, build

ABOUT = "What becomes of floods of output, kernelwire beside raw 0MQ, and what memory they take."
SYSTEMS = (RAW_STOCK, RAW_LAUNCHER, OURS)
ROUNDS, MOST_ROUNDS = 3, 20
TIMEOUT_S = 900.0


class Flood(Struct, frozen=True):
    """A cell that puts out the numbers from 0 to `count` - 1, each with a word's bounds around it."""

    code: str
    count: int
    about: str
    once: bool = False
    """too long for several rounds"""


FLOODS: Mapping[str, Flood] = {
    "flushed": Flood("for i in range({n}):\n    print(i, flush=True)", 20_000, "printed lines, each flushed"),
    "plain": Flood("for i in range({n}):\n    print(i)", 200_000, "printed lines"),
    "written": Flood(
        "import sys\n_ = sys.stdout.write(''.join(f'{{i:099d}}\\n' for i in range({n})))",
        200_000,
        "lines of 100 bytes in one write",
    ),
    "displays": Flood(
        "from IPython.display import display\n"
        "for i in range({n}):\n    display({{'text/plain': f'{{i}}\\n'}}, raw=True)",
        5_000,
        "displays",
    ),
    "large": Flood(
        "from IPython.display import display\ntext = 'x' * 10_000_000\n"
        "for i in range({n}):\n    display({{'text/html': text, 'text/plain': f'{{i}}\\n'}}, raw=True)",
        150,
        "displays of 10 MB",
        once=True,
    ),
}


class Round(Struct, frozen=True):
    """One flood on one system. `peaks_mib`: by role, the highest growth of resident memory."""

    lost: int
    doubled: int
    out_of_order: int
    messages: int
    wall_s: float
    server_cpu_s: float
    kernel_cpu_s: float
    peaks_mib: dict[str, float]


class Row(Struct, frozen=True):
    """The rounds of one flood on one system: sums of what is wrong, medians of times, highest peaks."""

    flood: str
    system: str
    count: int
    rounds: int
    lost: int
    doubled: int
    out_of_order: int
    messages: float
    wall_s: float
    to_stock: float
    """wall time as a multiple of raw 0MQ on a stock kernel"""
    to_launcher: float
    """the same, of raw 0MQ on kernelwire's launcher"""
    server_cpu_s: float
    kernel_cpu_s: float
    peaks_mib: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it as JSON if asked to; returns the exit code."""
    given = _parser().parse_args(arguments)
    names = given.only or list(FLOODS)
    interrupts = Interrupts()
    try:
        with interrupts.taken(), tempfile.TemporaryDirectory(prefix="kwb-") as directory:
            rows = _run(names, given, interrupts, Path(directory))
        print("\n".join(_lines(rows)))
        if given.json is not None:
            given.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    except (BenchFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    wrong = sum(row.lost + row.doubled + row.out_of_order for row in rows if row.system == OURS)
    return 3 if wrong else 0


def _run(names: Sequence[str], given: argparse.Namespace, interrupts: Interrupts, directory: Path) -> list[Row]:
    order = random.Random(given.seed)  # noqa: S311  an order, no secret
    with contextlib.ExitStack() as stack:
        systems = [build(name, directory / name) for name in SYSTEMS]
        for system in systems:
            stack.callback(system.close)
        for system in systems:
            system.start()
            system.evaluate("1+1")
        with interrupts.allowed(TIMEOUT_S):
            return [row for name in names for row in _measure(name, systems, given, order)]


def _measure(name: str, systems: Sequence[System], given: argparse.Namespace, order: random.Random) -> list[Row]:
    flood = FLOODS[name]
    count = max(1, flood.count // given.part)
    code = flood.code.format(n=count)
    rounds: dict[str, list[Round]] = {system.name: [] for system in systems}
    for _ in range(1 if flood.once else given.rounds):
        for system in order.sample(list(systems), len(systems)):
            print(f"bench: {name} on {system.name}", file=sys.stderr, flush=True)
            rounds[system.name].append(_flood(system, code, count))
    walls = {system: median(found.wall_s for found in each) for system, each in rounds.items()}
    return [_row(name, system, count, each, walls) for system, each in rounds.items()]


def _flood(system: System, code: str, count: int) -> Round:
    processes = system.processes()
    roles = {**system.servers(), "kernel": (processes.kernel,)}
    before = {role: _reset(pids) for role, pids in roles.items()}
    server_s, kernel_s = cpu_s(processes.server), cpu_s([processes.kernel])
    begun = time.perf_counter()
    texts = system.stream(code)
    wall_s = time.perf_counter() - begun
    received = [int(line) for line in "".join(texts).splitlines() if line.isdecimal()]
    return Round(
        lost=len(set(range(count)) - set(received)),
        doubled=len(received) - len(set(received)),
        out_of_order=sum(second < first for first, second in pairwise(received)),
        messages=len(texts),
        wall_s=wall_s,
        server_cpu_s=cpu_s(processes.server) - server_s,
        kernel_cpu_s=cpu_s([processes.kernel]) - kernel_s,
        peaks_mib={role: sum(map(peak_mib, pids)) - before[role] for role, pids in roles.items()},
    )


def _reset(pids: Sequence[int]) -> float:
    for pid in pids:
        reset_peak(pid)
    return sum(map(peak_mib, pids))


def _row(flood: str, system: str, count: int, rounds: Sequence[Round], walls: Mapping[str, float]) -> Row:
    return Row(
        flood=flood,
        system=system,
        count=count,
        rounds=len(rounds),
        lost=sum(found.lost for found in rounds),
        doubled=sum(found.doubled for found in rounds),
        out_of_order=sum(found.out_of_order for found in rounds),
        messages=median(found.messages for found in rounds),
        wall_s=walls[system],
        to_stock=walls[system] / walls[RAW_STOCK],
        to_launcher=walls[system] / walls[RAW_LAUNCHER],
        server_cpu_s=median(found.server_cpu_s for found in rounds),
        kernel_cpu_s=median(found.kernel_cpu_s for found in rounds),
        peaks_mib={role: max(found.peaks_mib[role] for found in rounds) for role in rounds[0].peaks_mib},
    )


HEAD = ("system", "lost", "doubled", "mixed", "messages", "wall s", "x stock", "x launcher", "server CPU", "kernel CPU")


def _lines(rows: Sequence[Row]) -> list[str]:
    lines: list[str] = []
    for name in dict.fromkeys(row.flood for row in rows):
        found = [row for row in rows if row.flood == name]
        lines += ["", f"{found[0].count:,} {FLOODS[name].about}, {found[0].rounds} rounds"]
        lines += [("  {:<14}" + "{:>11}" * 9 + "  peaks MiB").format(*HEAD), *map(_line, found)]
    return lines


def _line(row: Row) -> str:
    numbers = (row.lost, row.doubled, row.out_of_order, round(row.messages))
    times = (row.wall_s, row.to_stock, row.to_launcher, row.server_cpu_s, row.kernel_cpu_s)
    peaks = ", ".join(f"{role} {peak:.0f}" for role, peak in row.peaks_mib.items())
    return (
        f"  {row.system:<14}"
        + "".join(f"{n:>11,}" for n in numbers)
        + "".join(f"{t:>11.2f}" for t in times)
        + f"  {peaks}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=ABOUT)
    parser.add_argument("--only", action="append", choices=list(FLOODS), metavar="NAME", help=f"of {', '.join(FLOODS)}")
    parser.add_argument("--rounds", type=int, choices=range(1, MOST_ROUNDS + 1), default=ROUNDS, metavar="N")
    parser.add_argument(
        "--part", type=int, choices=range(1, 1001), default=1, metavar="N", help="one Nth of the output"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the shuffled orders (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
