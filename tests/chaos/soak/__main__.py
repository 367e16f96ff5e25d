"""`python -m tests.chaos.soak`. Exit codes: 0 nothing grew or failed, 1 something did, 130 interrupted."""

import argparse
import asyncio
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kernelwire import __version__
from tests.chaos.caller import Refused
from tests.chaos.soak.results import Report, render
from tests.chaos.soak.samples import Sample, take, trends
from tests.chaos.soak.users import User
from tests.chaos.stage import Stage
from tests.e2e import processes

MOST_SAMPLES_S = 60.0
FEWEST = 30
"""samples, at least"""
SETTINGS = {
    "KERNELWIRE_BRIDGE__SEGMENT_BYTES": str(256 << 10),
    "KERNELWIRE_BRIDGE__RETENTION_BYTES": str(2 << 20),
}
"""small, so that segments come and go during the run"""
FAILURES = (AssertionError, Refused, TimeoutError, OSError, msgspec.MsgspecError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, write it as JSON if asked to; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        report = asyncio.run(_report(given.hours * 3600, given.sessions, given.fronts, given.seed))
    except KeyboardInterrupt:
        return 130
    print(render(report))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return 1 if report.failures or not all(trend.fine for trend in report.trends) else 0


async def _report(duration_s: float, sessions: int, fronts: int, seed: int) -> Report:
    failures: list[str] = []
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="kw-soak-", ignore_cleanup_errors=True) as directory:
        stage = await Stage.open(Path(directory) / "state", fronts, SETTINGS)
        users = [User(stage.caller(), stage.caller(), random.Random(f"{seed} {number}")) for number in range(sessions)]
        try:
            for user in users:
                await user.begin()
            samples = await _used(stage, users, duration_s, failures)
        finally:
            for user in users:
                await user.caller.close()
                await user.reader.close()
            try:
                await stage.close()
            except AssertionError as error:
                failures.append(f"the stop: {error}")
    return Report(
        machine=platform.platform(),
        cpus=len(os.sched_getaffinity(0)),
        version=__version__,
        seed=seed,
        sessions=sessions,
        fronts=fronts,
        took_s=round(duration_s, 1),
        done=dict(sum((user.done for user in users), Counter[str]())),
        samples=samples,
        trends=trends(samples) if len(samples) >= 3 else [],
        failures=failures,
    )


async def _used(stage: Stage, users: Sequence[User], duration_s: float, failures: list[str]) -> list[Sample]:
    """Let the users use the service for so long, and look at it now and then."""
    interval_s, begun = min(MOST_SAMPLES_S, duration_s / FEWEST), time.monotonic()
    using = [asyncio.create_task(_use(user, failures)) for user in users]
    samples: list[Sample] = []
    try:
        for number in range(1, int(duration_s / interval_s) + 1):
            await asyncio.sleep(max(0.0, begun + number * interval_s - time.monotonic()))
            cells = sum(user.done.total() for user in users)
            running = await asyncio.to_thread(processes.of_state_dir, stage.state_dir)
            samples.append(await asyncio.to_thread(take, time.monotonic() - begun, cells, stage.state_dir, running))
            _tell(samples[-1], len(failures))
    finally:
        for task in using:
            task.cancel()
        await asyncio.gather(*using, return_exceptions=True)
    return samples


async def _use(user: User, failures: list[str]) -> None:
    """A user whom the service fails begins again, with another session, and it is noted."""
    begun = True
    while True:
        try:
            if not begun:
                await user.begin()
            begun = True
            await user.use()
        except FAILURES as error:
            begun = False
            failures.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(1.0)


def _tell(sample: Sample, failures: int) -> None:
    host, front = sample.roles["host"], sample.roles["front"]
    words = (
        f"soak: {sample.at_s:.0f} s, {sample.cells} done, host {host.pss >> 20} MiB {host.descriptors} descriptors, "
        f"fronts {front.pss >> 20} MiB {front.descriptors} descriptors, {failures} failures"
    )
    print(words, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.soak",
        description="Uses a service for long, at a modest pace, and watches what it costs.",
        epilog="example: python -m tests.chaos.soak --hours 0.5 --sessions 32",
    )
    parser.add_argument("--hours", type=float, default=0.5, help="how long (default: %(default)s)")
    parser.add_argument("--sessions", type=int, default=32, metavar="N", help="users (default: %(default)s)")
    parser.add_argument("--fronts", type=int, default=2, metavar="N", help="of the service (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what users do (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
