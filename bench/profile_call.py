"""`python -m bench.profile_call`: what one evaluate costs front and host, layer by layer, in microseconds of CPU, and
what kernel and client, as a whole.

A real `kernelwire serve`, one client a session in a closed loop. First CPU time of every thread, from the scheduler's
own account, then, in calls of their own, sampled stacks. `--against DIR` measures a second tree of the sources in
blocks between those of the first, so that both have the same noise. Source: Linux, Documentation/scheduler/sched-stats.
"""

import argparse
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

from bench import call_layers, kept
from bench.adapters.kernelwire import Kernelwire
from bench.protocol import BenchFailed, Session

HERE = Path(__file__).parent.parent
HOOKS = Path(__file__).parent / "profiling"
BLOCK = 200
"""calls in a row on one tree"""
MOST_CALLS = 20_000
SAMPLES_S = 10.0
"""how long a process may take to write its samples down"""
ROLES = ("front", "host")
"""what is sampled"""
COUNTED = (*ROLES, "kernel")
"""whose CPU time is counted; kernel: that of the first session"""
Samples = list[tuple[tuple[str, ...], int]]


@dataclass(slots=True)
class Used:
    """Microseconds of CPU a call, one value a block."""

    main: list[float] = field(default_factory=list[float])
    """the thread of the event loop"""
    threads: list[float] = field(default_factory=list[float])
    """all others: libzmq's, and a kernel's own ones"""

    @property
    def total_us(self) -> float:
        return statistics.median(a + b for a, b in zip(self.main, self.threads, strict=True))


@dataclass(slots=True)
class Tree:
    """A service that runs from one tree of the sources, and what was found of it."""

    name: str
    sessions: Sequence[Session]
    samples_in: Path
    pids: dict[str, int]
    used: dict[str, Used] = field(default_factory=lambda: {role: Used() for role in COUNTED})
    client_us: list[float] = field(default_factory=list[float])
    """CPU of the process that asks"""
    latency_s: list[float] = field(default_factory=list[float])
    samples: dict[str, Samples] = field(default_factory=dict[str, Samples])

    def block(self, code: str) -> None:
        """BLOCK calls or a few less, their CPU time and latency."""
        before, client_s = {role: _cpu_ns(pid) for role, pid in self.pids.items()}, time.process_time()
        latency_s = self._evaluate(code, BLOCK)
        self.client_us.append(1e6 * (time.process_time() - client_s) / len(latency_s))
        for role, pid in self.pids.items():
            main, threads = (now - then for now, then in zip(_cpu_ns(pid), before[role], strict=True))
            self.used[role].main.append(main / 1000 / len(latency_s))
            self.used[role].threads.append(threads / 1000 / len(latency_s))
        self.latency_s += latency_s

    def sample(self, code: str, calls: int) -> None:
        self._toggle()
        self._evaluate(code, calls)
        self._toggle()
        for role in ROLES:
            self.samples[role] = _read(self.samples_in / f"{self.pids[role]}.json")

    def _evaluate(self, code: str, calls: int) -> list[float]:
        """Spread over the sessions, each of which has one call under way. Seconds that each one took."""
        each = max(1, calls // len(self.sessions))

        def loop(session: Session) -> list[float]:
            took_s: list[float] = []
            for _ in range(each):
                begun = time.perf_counter()
                session.evaluate(code)
                took_s.append(time.perf_counter() - begun)
            return took_s

        with ThreadPoolExecutor(len(self.sessions)) as threads:
            return [took_s for some in threads.map(loop, self.sessions) for took_s in some]

    def _toggle(self) -> None:
        for role in ROLES:
            os.kill(self.pids[role], signal.SIGUSR2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a service failed, 2 wrong usage, 130 interrupted."""
    given = _parser().parse_args(arguments)
    names = [given.tree, *([given.against] if given.against else [])]
    try:
        with tempfile.TemporaryDirectory(prefix="kw-profile-") as directory:
            trees = _measured(names, Path(directory), given)
        report = "\n\n".join(_report(tree, given) for tree in trees)
        print(report)
        if given.keep:
            kept.PROFILE.write_text(f"{date.today()}, {report}\n")
            print("\n".join(kept.write_document()), file=sys.stderr)
        if len(trees) > 1:
            print(_compared(*trees))
    except (BenchFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _measured(paths: Sequence[Path], directory: Path, given: argparse.Namespace) -> list[Tree]:
    with contextlib.ExitStack() as stack:
        trees = [
            stack.enter_context(_running(path, directory / str(number), given.sessions, at_once=given.hop_only))
            for number, path in enumerate(paths)
        ]
        for tree in trees:
            tree.block(given.code)  # warm
            tree.used = {role: Used() for role in COUNTED}
            tree.client_us.clear()
            tree.latency_s.clear()
        for _ in range(max(1, given.calls // BLOCK)):
            for tree in trees:
                tree.block(given.code)
        for tree in trees:
            tree.sample(given.code, given.calls)
        return trees


@contextlib.contextmanager
def _running(source: Path, directory: Path, sessions: int, *, at_once: bool) -> Generator[Tree]:
    samples_in = directory / "samples"
    samples_in.mkdir(parents=True)
    changed = {
        "PYTHONPATH": f"{HOOKS}{os.pathsep}{source}",
        "KWPROFILE_DIR": str(samples_in),
        "KWPROFILE_ANSWER": "1" if at_once else "",
    }
    system = Kernelwire(directory / "service")
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        with contextlib.closing(system):
            system.start()
            pids = {role: pids[0] for role, pids in system.servers().items() if role in ROLES}
            opened = [system.open() for _ in range(sessions)]
            opened[0].evaluate("1")  # before that it has no kernel
            yield Tree(
                str(source) if source != HERE else "this tree",
                opened,
                samples_in,
                pids | {"kernel": opened[0].kernel()[0]},
            )
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cpu_ns(pid: int) -> tuple[int, int]:
    """CPU time of the main thread, and of all others."""
    main = threads = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            spent = int((task / "schedstat").read_text().split()[0])
            if task.name == str(pid):
                main = spent
            else:
                threads += spent
    return main, threads


def _read(path: Path) -> Samples:
    until = time.monotonic() + SAMPLES_S
    while not path.exists():
        if time.monotonic() > until:
            raise BenchFailed(f"{path.name}: no samples were written")
        time.sleep(0.05)
    return msgspec.json.decode(path.read_bytes(), type=Samples)


def _report(tree: Tree, given: argparse.Namespace) -> str:
    latency_ms = 1000 * statistics.median(tree.latency_s)
    lines = [f"{tree.name}: {len(tree.latency_s)} evaluations, p50 {latency_ms:.2f} ms"]
    for role in ROLES:
        used = tree.used[role]
        samples = tree.samples[role]
        lines.append(
            f"{role}: {used.total_us:.0f} us a call, of which {statistics.median(used.threads):.0f} in threads of"
            f" libzmq ({sum(count for _, count in samples)} samples)"
        )
        lines += [f"  {used.total_us * share.part:6.0f}  {share.layer}" for share in call_layers.shares(samples)]
        if given.functions:
            lines.append("  own time of functions:")
            lines += [
                f"  {used.total_us * share.part:6.0f}  {share.layer}"
                for share in call_layers.functions(samples, given.functions)
            ]
            lines.append("  with what they call:")
            lines += [
                f"  {used.total_us * share.part:6.0f}  {share.layer}"
                for share in call_layers.inclusive(samples, given.functions)
            ]
    if not given.hop_only:
        kernel = tree.used["kernel"]
        others_us = statistics.median(kernel.threads)
        lines.append(
            f"kernel: {kernel.total_us:.0f} us a call, of which {others_us:.0f} in others than its main thread"
        )
    lines.append(f"client: {statistics.median(tree.client_us):.0f} us a call")
    return "\n".join(lines)


def _compared(ours: Tree, other: Tree) -> str:
    lines = [f"\nratio to {other.name}, median of blocks that ran beside each other:"]
    for role in COUNTED:
        pairs = zip(
            map(sum, zip(ours.used[role].main, ours.used[role].threads, strict=True)),
            map(sum, zip(other.used[role].main, other.used[role].threads, strict=True)),
            strict=True,
        )
        lines.append(f"  {role}: {statistics.median(a / b for a, b in pairs):.2f}")
    ratio = statistics.median(ours.latency_s) / statistics.median(other.latency_s)
    return "\n".join([*lines, f"  latency p50: {ratio:.2f}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.profile_call", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--calls", type=_count, default=2000, metavar="N", help="in each part (default: %(default)s)")
    parser.add_argument("--code", default="1+1", help="what is evaluated (default: %(default)s)")
    parser.add_argument("--sessions", type=int, default=1, choices=range(1, 65), metavar="N", help="at once, 1 to 64")
    parser.add_argument("--hop-only", action="store_true", help="the host answers at once: no kernel has a part in it")
    parser.add_argument("--tree", type=Path, default=HERE, metavar="DIR", help="the sources (default: these)")
    parser.add_argument("--against", type=Path, metavar="DIR", help="a second tree of the sources")
    parser.add_argument("--keep", action="store_true", help="put it into docs/performance.md")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="show the N most expensive functions too")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if not BLOCK <= value <= MOST_CALLS:
        raise argparse.ArgumentTypeError(f"expected {BLOCK} to {MOST_CALLS}")
    return value


if __name__ == "__main__":
    sys.exit(main())
