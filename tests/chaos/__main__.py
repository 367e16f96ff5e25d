"""`python -m tests.chaos`. Exit codes: 0 no promise was broken, 1 some were, 2 wrong usage, 130 interrupted."""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir

from tests.chaos.faults import FAULTS
from tests.chaos.results import encode, render
from tests.chaos.run import Plan, Run

NAMES = tuple(fault.name for fault in FAULTS)
MOUNTED = "--in-own-mounts"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, write it as JSON if asked to; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    given = _parser().parse_args(words)
    faults = tuple(given.fault or NAMES)
    small_disk = None
    if not given.in_own_mounts and any(fault.on_small_disk and fault.name in faults for fault in FAULTS):
        command = _own_mounts()
        if command is not None:
            # a mount namespace ends with its last process: no file system is left, however this ends
            os.execvp(command[0], [*command, sys.executable, "-m", "tests.chaos", MOUNTED, *words])  # noqa: S606
        small_disk = "no file system can be mounted here: unshare --mount is refused"
    plan = Plan(
        rounds=given.rounds,
        seed=given.seed,
        first=given.first,
        sessions=given.sessions,
        fronts=given.fronts,
        faults=faults,
        small_disk=small_disk,
        extra={"PYTHONPATH": given.python_path} if given.python_path else {},
    )
    try:
        report = asyncio.run(Run(plan, _tell).report())
    except KeyboardInterrupt:
        _tell("interrupted")
        return 130
    print(render(report))
    if given.json is not None:
        given.json.write_bytes(encode(report))
    return 1 if report.breaches else 0


def _own_mounts() -> list[str] | None:
    """The command in front of one that may mount; None if the machine allows none."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        try:
            tried = subprocess.run(
                [*command, "mount", "-t", "tmpfs", "none", gettempdir()], capture_output=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if tried.returncode == 0:
            return command
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Does harm to a running service, at seeded moments, and checks that nothing is lost.",
        epilog="example: python -m tests.chaos --rounds 50 --fault host_kill --fault front_kill",
    )
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="of each fault (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all moments (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first round (default: 0)")
    parser.add_argument("--fault", action="append", choices=NAMES, metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--sessions", type=int, default=2, metavar="N", help="at the same time (default: %(default)s)")
    parser.add_argument("--fronts", type=int, default=2, metavar="N", help="of the service (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found there")
    parser.add_argument("--python-path", metavar="DIRS", help="PYTHONPATH of the service, for mutants")
    parser.add_argument(MOUNTED, action="store_true", help=argparse.SUPPRESS)
    return parser


def _tell(words: str) -> None:
    print(f"chaos: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
