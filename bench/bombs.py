"""`python -m bench.bombs`: what a cell that takes all it can get costs the other sessions, and how it ends.

Exit codes: 0 done, 1 a system failed, 2 wrong usage, 3 a bomb ended otherwise than it should, or the neighbours waited
more than twice as long, 130 interrupted.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.adapters.kernelwire import Kernelwire
from bench.adapters.kernelwire_session import KernelwireSession
from bench.interrupts import Interrupts
from bench.protocol import BenchFailed
from kernel_bridge.results import Cell

ABOUT = "What a cell that takes all it can get costs the other sessions, and how it ends."
WAIT_S = 60.0
TIMEOUT_S = 900.0
QUIET_S = 5.0
PAUSE_S = 0.02
"""between two evaluations of a neighbour"""
TWICE = 2.0
ASKED = "print(1+1)"
"""no result that IPython would keep: it says something when a thousand of them are there"""
SETTINGS: Mapping[str, str] = {
    "bridge.limits.memory_bytes": str(300 << 20),
    "bridge.limits.processes": "64",
    "bridge.limits.cpus": "0.5",
    "bridge.limits.file_bytes": str(32 << 20),
    "bridge.limits.open_files": "256",
    "bridge.limits.workdir_bytes": str(32 << 20),
    "bridge.retention_bytes": str(16 << 20),
}


class Bomb(Struct, frozen=True):
    """A cell, and what must become of it. Each bounds itself too, should a limit not hold."""

    about: str
    code: str
    end: str
    limit: str = ""
    """the setting in `bridge.limits` that has to be named"""
    needs: str = ""
    """a setting without whose cgroup it must not be run at all"""


BOMBS: Mapping[str, Bomb] = {
    "memory": Bomb(
        "takes 3.2 GB",
        "kept = []\nfor _ in range(200):\n    kept.append(bytearray(16 << 20))",
        "kernel_died",
        "memory_bytes",
        "memory_bytes",
    ),
    "fork": Bomb(
        "forks, and so do its children, for 6 s",
        "import os, time\n"
        "first, until = os.getpid(), time.monotonic() + 6\n"
        "while time.monotonic() < until:\n"
        "    try:\n        os.fork()\n"
        "    except BlockingIOError:\n        if os.getpid() == first:\n            raise\n"
        "if os.getpid() != first:\n    os._exit(0)",
        "error",
        "processes",
        "processes",
    ),
    "file": Bomb(
        "writes one file of 1 GB",
        "with open('one', 'wb') as file:\n    for _ in range(1024):\n        file.write(bytes(1 << 20))",
        "error",
        "file_bytes",
    ),
    "disk": Bomb(
        "writes 200 files of 8 MB",
        "import os, time\nfor number in range(200):\n"
        "    with open(f'{number}', 'wb') as file:\n        file.write(os.urandom(8 << 20))\n    time.sleep(0.2)",
        "interrupted",
        "workdir_bytes",
    ),
    "descriptors": Bomb(
        "opens 100,000 files", "kept = [open('/dev/null') for _ in range(100_000)]", "error", "open_files"
    ),
    "output": Bomb("prints 400,000 lines of 100 bytes", "for _ in range(400_000):\n    print('x' * 99)", "ok"),
}


class Row(Struct, frozen=True):
    """What a bomb did, in all rounds; times are those of ASKED in the other sessions."""

    bomb: str
    rounds: int
    end: str
    limit: str
    seconds: float
    """median of the cell's"""
    neighbours: int
    """evaluations meanwhile"""
    failed: int
    """of them"""
    quiet_ms: float
    p50_ms: float
    p95_ms: float
    ratio: float
    """p50 to that of a quiet service"""
    as_it_should: bool


class Neighbour(threading.Thread):
    """Evaluates all the time; `seconds` are the answers since `clear`."""

    def __init__(self, session: KernelwireSession) -> None:
        super().__init__(daemon=True)
        self._session = session
        self._over = threading.Event()
        self.seconds: list[float] = []
        self.failed = 0

    def run(self) -> None:
        while not self._over.wait(PAUSE_S):
            begun = time.perf_counter()
            try:
                if self._session.evaluate(ASKED) != "2":
                    self.failed += 1
            except (BenchFailed, OSError):
                self.failed += 1
                continue
            self.seconds.append(time.perf_counter() - begun)

    def clear(self) -> None:
        self.seconds, self.failed = [], 0

    def end(self) -> None:
        self._over.set()
        self.join(WAIT_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it as JSON if asked to; returns the exit code."""
    given = _parser().parse_args(arguments)
    interrupts = Interrupts()
    try:
        with (
            interrupts.taken(),
            tempfile.TemporaryDirectory(prefix="kwb-") as directory,
            interrupts.allowed(TIMEOUT_S),
        ):
            rows = _run(given.only or list(BOMBS), given, Path(directory))
        print("\n".join(lines(rows)))
        if given.json is not None:
            given.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    except (BenchFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0 if all(row.as_it_should and row.ratio <= TWICE for row in rows) else 3


def _run(names: Sequence[str], given: argparse.Namespace, directory: Path) -> list[Row]:
    system = Kernelwire(directory / "kernelwire", settings=SETTINGS)
    neighbours: list[Neighbour] = []
    try:
        system.start()
        notes = _notes(system.url)
        for _ in range(given.neighbours):
            session = system.open()
            session.evaluate("1+1")
            neighbours.append(Neighbour(session))
        for neighbour in neighbours:
            neighbour.start()
        rows: list[Row] = []
        for name in names:
            needs = BOMBS[name].needs
            if any(needs and f"bridge.limits.{needs} " in note for note in notes):
                print(f"bench: {name} is not run: {'; '.join(notes)}", file=sys.stderr, flush=True)
                continue
            rows.append(_measure(name, system, neighbours, given.rounds))
        return rows
    finally:
        for neighbour in neighbours:
            neighbour.end()
        system.close()


def _notes(url: str) -> list[str]:
    """Which limits this machine does not let the service keep."""
    with urllib.request.urlopen(f"{url}/readyz", timeout=WAIT_S) as answer:  # noqa: S310  http, of a service of ours
        return msgspec.json.decode(answer.read())["notes"]


def _measure(name: str, system: Kernelwire, neighbours: Sequence[Neighbour], rounds: int) -> Row:
    bomb = BOMBS[name]
    print(f"bench: {name}", file=sys.stderr, flush=True)
    quiet: list[float] = []
    during: list[float] = []
    walls: list[float] = []
    ended: list[Cell] = []
    failed, named = 0, ""
    for _ in range(rounds):
        session = system.open()
        session.evaluate("1+1")
        quiet += _heard(neighbours, QUIET_S)
        for neighbour in neighbours:
            neighbour.clear()
        begun = time.perf_counter()
        ended.append(session.client.call("evaluate", {"session": session.id, "code": bomb.code, "wait": WAIT_S}, Cell))
        walls.append(time.perf_counter() - begun)
        time.sleep(0.5)  # what it leaves behind belongs to it
        during += [seconds for neighbour in neighbours for seconds in neighbour.seconds]
        failed += sum(neighbour.failed for neighbour in neighbours)
        named = _named(session, ended[-1])
        session.close()
    right = all(cell.end == bomb.end for cell in ended) and named == bomb.limit and not failed and bool(during)
    before, p50 = statistics.median(quiet), statistics.median(during)
    return Row(
        bomb=name,
        rounds=rounds,
        end=str(ended[-1].end),
        limit=named,
        seconds=statistics.median(walls),
        neighbours=len(during),
        failed=failed,
        quiet_ms=before * 1000,
        p50_ms=p50 * 1000,
        p95_ms=statistics.quantiles(during, n=20)[-1] * 1000,
        ratio=p50 / before,
        as_it_should=right,
    )


def _heard(neighbours: Sequence[Neighbour], seconds: float) -> list[float]:
    """Their times while nothing else happens."""
    for neighbour in neighbours:
        neighbour.clear()
    time.sleep(seconds)
    return [found for neighbour in neighbours for found in neighbour.seconds]


class _Event(Struct, frozen=True):
    type: str
    content: dict[str, object]


class _Page(Struct, frozen=True):
    events: list[_Event]


def _named(session: KernelwireSession, cell: Cell) -> str:
    """Which limit the user is told of."""
    if cell.exit is not None and cell.exit.limit is not None:
        return cell.exit.limit
    params = {"session": session.id, "cursor": max(0, cell.cursor - 100), "wait": 0}
    page = session.client.call("poll_output", params, _Page)
    limits = [str(event.content.get("limit") or "") for event in page.events if event.type == "notice"]
    return next((limit for limit in reversed(limits) if limit), "")


HEAD = ("bomb", "it", "ends", "limit named", "s", "calls", "failed", "quiet p50 ms", "p50 ms", "p95 ms", "ratio")


def lines(rows: Sequence[Row]) -> list[str]:
    """The table, in Markdown."""
    found = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for row in rows:
        wrong = "" if row.as_it_should else " (not as it should)"
        cells = (
            *(row.bomb, BOMBS[row.bomb].about, f"`{row.end}`{wrong}", f"`{row.limit}`" if row.limit else "none"),
            *(f"{row.seconds:.1f}", f"{row.neighbours:,}", str(row.failed)),
            *(f"{row.quiet_ms:.1f}", f"{row.p50_ms:.1f}", f"{row.p95_ms:.1f}", f"{row.ratio:.2f}"),
        )
        found.append(f"| {' | '.join(cells)} |")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.bombs", description=ABOUT)
    parser.add_argument("--only", action="append", choices=list(BOMBS), metavar="NAME", help=f"of {', '.join(BOMBS)}")
    parser.add_argument("--rounds", type=int, choices=range(1, 11), default=3, metavar="N")
    parser.add_argument("--neighbours", type=int, choices=range(1, 9), default=2, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
