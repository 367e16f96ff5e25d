"""A run: every fault so many times, from one seed."""

import contextlib
import math
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kernelwire import __version__
from tests.chaos import small_disk
from tests.chaos.caller import Refused
from tests.chaos.faults import DISK_BYTES, FAULTS, Fault
from tests.chaos.readers import KINDS
from tests.chaos.results import Breach, Count, Report
from tests.chaos.rounds import play
from tests.chaos.stage import Stage

RENEWED_AFTER = 10
"""rounds with the same sessions; then others are opened, so that late readers have not ever more to read"""
MOST_BREACHES = 20
"""after so many of one fault it is clear"""
MOST_STUCK = 3
"""as it is when so many rounds in a row could not be played to their end"""
FAILURES = (AssertionError, Refused, TimeoutError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds`: how often each fault strikes; `first`: number of the first round, to repeat one."""

    rounds: int = 20
    seed: int = 1
    first: int = 0
    sessions: int = 2
    fronts: int = 2
    faults: Sequence[str] = tuple(fault.name for fault in FAULTS)
    small_disk: str | None = None
    """why no file system can be mounted"""
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    """environment of the service"""


class Run:
    """Owns the service under test. `report` runs all of it; nothing is left after it."""

    def __init__(self, plan: Plan, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._tell = tell
        self._stage: Stage | None = None
        self._on_small_disk = False
        self._stops = Count("stop", "the end: no process and no socket is left")
        self._places = 0
        self._played = 0
        self._directory = Path()

    async def report(self) -> Report:
        plan, begun = self._plan, time.monotonic()
        faults = sorted((fault for fault in FAULTS if fault.name in plan.faults), key=lambda fault: fault.on_small_disk)
        counts: list[Count] = []
        with tempfile.TemporaryDirectory(prefix="kw-chaos-", ignore_cleanup_errors=True) as directory:
            self._directory = Path(directory)
            try:
                for fault in faults:
                    counts.append(await self._fault(fault))
                await self._close_stage()
                counts.append(self._stops)
            finally:
                if self._stage is not None:
                    await self._stage.abandon()
                    self._unmount(self._stage.state_dir)
        return Report(
            seed=plan.seed,
            machine=platform.platform(),
            cpus=len(os.sched_getaffinity(0)),
            version=__version__,
            sessions=plan.sessions,
            fronts=plan.fronts,
            readers=len(KINDS) + 1,
            took_s=round(time.monotonic() - begun, 1),
            rows=[count.row() for count in counts],
            breaches=[breach for count in counts for breach in count.breaches],
        )

    async def _fault(self, fault: Fault) -> Count:
        plan, count, begun = self._plan, Count(fault.name, fault.what), time.monotonic()
        if fault.on_small_disk and plan.small_disk is not None:
            count.skipped = plan.small_disk
            return count
        strikes = plan.sessions if fault.of_sessions else 1
        played_to = plan.first - 1
        for number in range(plan.first, plan.first + math.ceil(plan.rounds / strikes)):
            with self._noting(count, number):
                stage = await self._ready_stage(fault)
                count.skipped = fault.absent(stage)
                if count.skipped is not None:
                    return count
                rng = random.Random(f"{plan.seed} {fault.name} {number}")
                for played in await play(stage, fault, number, rng):
                    count.add(played.findings, played.outage_s)
                    self._note(count, number, played.findings.breaches)
                count.rounds += strikes
                self._played += 1
                played_to = number
            if count.breaches and count.breaches[-1].round == number:
                await self._forget_stage()
            if len(count.breaches) >= MOST_BREACHES or number - played_to >= MOST_STUCK:
                break
        each = (time.monotonic() - begun) / max(count.rounds, 1)
        self._tell(f"{fault.name}: {count.rounds} rounds, {each:.2f} s each, {len(count.breaches)} breaches")
        return count

    async def _ready_stage(self, fault: Fault) -> Stage:
        """The service for this fault, whole, with sessions that are not too old. Raises what opening it raises."""
        if self._stage is not None and self._on_small_disk != fault.on_small_disk:
            await self._close_stage()
        if self._stage is None:
            self._places += 1
            place = self._directory / str(self._places)
            place.mkdir(mode=0o700)
            state_dir = place / "state"
            if fault.on_small_disk:
                small_disk.mount(state_dir, DISK_BYTES)
            self._on_small_disk = fault.on_small_disk
            try:
                self._stage = await Stage.open(state_dir, self._plan.fronts, self._plan.extra)
            except BaseException:
                self._unmount(state_dir)
                raise
        if not self._stage.sessions or self._played % RENEWED_AFTER == 0:
            rng = random.Random(f"{self._plan.seed} sessions {self._played}")
            await self._stage.open_sessions(self._plan.sessions, rng)
        return self._stage

    async def _close_stage(self) -> None:
        stage, self._stage = self._stage, None
        if stage is not None:
            with self._noting(self._stops, self._stops.rounds):
                self._stops.rounds += 1
                await stage.close()
            self._unmount(stage.state_dir)

    async def _forget_stage(self) -> None:
        """After a breach nothing is as the next round expects it."""
        stage, self._stage = self._stage, None
        if stage is not None:
            self._tell(f"log of the service: {stage.service.log.read_text(errors='replace')[-2000:]}")
            await stage.abandon()
            self._unmount(stage.state_dir)

    def _unmount(self, state_dir: Path) -> None:
        if self._on_small_disk:
            small_disk.unmount(state_dir)

    @contextlib.contextmanager
    def _noting(self, count: Count, number: int) -> Generator[None]:
        try:
            yield
        except FAILURES as error:
            self._note(count, number, [f"{type(error).__name__}: {error}"])

    def _note(self, count: Count, number: int, breaches: Sequence[str]) -> None:
        for words in breaches:
            count.breaches.append(Breach(count.fault, number, words))
            self._tell(f"BREACH {count.fault} round {number}: {words}")
