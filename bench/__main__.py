"""`python -m bench`. Exit codes: 0 done, 1 a system failed, 2 wrong usage, 130 interrupted."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.interrupts import Interrupts
from bench.protocol import BenchFailed
from bench.report import render
from bench.run import MEASURES, Plan, run

ROUNDS, MOST_ROUNDS = 300, 10_000
LINES, MOST_LINES = 20_000, 200_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the report, write it as JSON if asked to; returns the exit code."""
    given = _parser().parse_args(arguments)
    plan = Plan(given.rounds, given.lines, given.seed, tuple(given.only or MEASURES))
    interrupts = Interrupts()
    try:
        with interrupts.taken():
            report = run(plan, interrupts, _tell)
        print(render(report))
        if given.json is not None:
            given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    except (BenchFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="kernelwire against raw 0MQ on a stock kernel and on its own launcher, as ratios.",
        epilog="example: python -m bench --rounds 500 --only evaluate --json found.json",
    )
    parser.add_argument(
        "--rounds",
        type=_count(MOST_ROUNDS),
        default=ROUNDS,
        metavar="N",
        help="times that each system does each operation (default: %(default)s)",
    )
    parser.add_argument(
        "--lines",
        type=_count(MOST_LINES),
        default=LINES,
        metavar="N",
        help="lines that the flood prints (default: %(default)s)",
    )
    parser.add_argument(
        "--only", action="append", choices=MEASURES, metavar="NAME", help=f"one of {', '.join(MEASURES)}; repeatable"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the shuffled orders (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found there")
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
