"""`python -m bench`. Exit codes: 0 done, 1 a measure failed, 2 wrong usage, 130 interrupted."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import kept
from bench.ground import Plan
from bench.interrupts import Interrupts
from bench.measures import BY_NAME
from bench.protocol import BenchFailed
from bench.report import render
from bench.run import Wanted, run
from bench.systems import ABOUT


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the report, write it where that was asked for; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.measures if name not in BY_NAME]:
        parser.error(f"no measure {', '.join(unknown)}: there are {', '.join(BY_NAME)}")
    plan = Plan(given.seed, given.quick, given.rounds, given.lines, given.sessions)
    if given.keep and (plan != Plan(seed=given.seed) or given.system):
        parser.error("--keep: what is kept is measured in full")
    try:
        return _document() if given.document else _measure(plan, given)
    except (BenchFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130


def _measure(plan: Plan, given: argparse.Namespace) -> int:
    interrupts = Interrupts()
    with interrupts.taken():
        report = run(plan, Wanted(tuple(given.measures), tuple(given.system)), interrupts, _tell)
    print(render(report))
    if given.json is not None:
        given.json.write_bytes(kept.encode(report))
    if given.keep:
        kept.keep(report)
        _document()
    return 1 if any(section.failed for section in report.sections) else 0


def _document() -> int:
    for path in kept.write_document():
        _tell(f"wrote {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="kernelwire beside raw 0MQ, jupyter_client, Jupyter Server and Kernel Gateway.",
        epilog="example: python -m bench evaluate inspect --rounds 500 --json found.json",
    )
    parser.add_argument(
        "measures", nargs="*", metavar="NAME", help=f"what to measure (default: all): {', '.join(BY_NAME)}"
    )
    parser.add_argument(
        "--system", action="append", default=[], choices=ABOUT, metavar="NAME", help=f"only these: {', '.join(ABOUT)}"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of all rounds, lines and sessions")
    parser.add_argument("--rounds", type=_count(10_000), metavar="N", help="at most so many rounds of each measure")
    parser.add_argument("--lines", type=_count(200_000), metavar="N", help="at most so many lines in a flood")
    parser.add_argument("--sessions", type=_count(5_000), metavar="N", help="at most so many sessions, or polls")
    parser.add_argument("--seed", type=int, default=1, help="of the shuffled orders (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found there")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="put it into bench/results/latest.json too, and write docs/performance.md from that",
    )
    parser.add_argument("--document", action="store_true", help="measure nothing, write docs/performance.md anew")
    return parser


def _count(most: int) -> Callable[[str], int]:
    """A converter for argparse: 1 to `most`."""

    def count(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"expected 1 to {most}")
        return value

    return count


def _tell(words: str) -> None:
    print(f"bench: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
