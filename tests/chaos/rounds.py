"""One round: cells print, a fault strikes in the middle of it, and what came of it is judged."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from tests.chaos.chatter import Chatter, Line, runs
from tests.chaos.checks import Blow, Findings, Story, judge, judge_runs
from tests.chaos.faults import Fault
from tests.chaos.session import Cell, Session
from tests.chaos.stage import Stage
from tests.chaos.strikes import Blows
from tests.chaos.transcript import NotReached

QUEUED_LINES = 3
"""printed by the cell that waits behind the one that is struck"""
LINES_BEFORE = (4, 30)
"""the fault falls when this many lines, at least and at most, were seen"""
MOMENT_S = 0.03
"""and up to this time later"""
ENDS = {"kernel": ("kernel_died", "aborted")}
"""of the two cells, where not both end `ok`"""


@dataclass(slots=True)
class Player:
    """A session in one round: a cell that prints, and one that waits behind it."""

    session: Session
    fault: Fault
    number: int
    cells: tuple[Chatter, Chatter] = field(init=False)
    _begin: int = field(init=False)
    _told: list["asyncio.Task[Cell]"] = field(default_factory=list["asyncio.Task[Cell]"])

    def __post_init__(self) -> None:
        name = f"{self.fault.name}-{self.number}"
        first = Chatter(f"{name}-a", self.fault.lines, self.fault.pause_s)
        self.cells = first, Chatter(f"{name}-b", QUEUED_LINES, self.fault.pause_s)
        self._begin = self.session.transcript.newest
        if self.session.kernel_killed:
            self.session.fresh.add(first.cell)
            self.session.kernel_killed = False

    async def start(self, lines: int) -> None:
        """Return when so many lines were seen."""
        for reader in self.session.readers:
            reader.begin_round()
        for cell in self.cells:
            await self.session.evaluate(cell, 0.0)
            self._told.append(asyncio.create_task(self.session.ended(cell)))
        await self.session.until_line(self.cells[0], lambda line: line.number >= lines, f"line {lines}")

    async def until_over(self, healed: float) -> None:
        """Return when both cells have ended and every reader, also one who comes late, has seen all of it."""
        first, session = self.cells[0], self.session
        if self.fault.loss == "kernel":
            session.kernel_killed = True
        else:
            try:
                await session.until_line(first, lambda line: self._goes_on(line, healed), "a line after the fault")
            except NotReached as error:  # what comes of the cell is all the more worth to be known
                session.transcript.breaches.append(str(error))
            first.stop(session.workdir)
        await asyncio.gather(*self._told)
        await session.until_done(self.cells[1])
        await session.read_from_start("late")

    def judged(self, blows: Blows) -> Findings:
        """After `until_over`."""
        session, fault = self.session, self.fault
        ran = runs(session.workdir)
        stories = [
            Story(cell, cell.printed(session.workdir), sum(run.cell == cell.cell for run in ran), told.result())
            for cell, told in zip(self.cells, self._told, strict=True)
        ]
        events = session.transcript.since(self._begin)
        found = judge(events, stories, Blow(fault.loss, tuple(blows.at), fault.gaps))
        ends, expected = tuple(story.told.end for story in stories), ENDS.get(fault.loss, ("ok", "ok"))
        if ends != expected:
            found.breaches.append(f"the cells ended {ends}, not {expected}")
        found.breaches += [*judge_runs(ran, session.fresh), *session.transcript.breaches]
        session.transcript.breaches.clear()
        return found

    def outage_s(self) -> float:
        """The longest, of the readers that wait for every line."""
        return max(reader.longest_silence_s for reader in self.session.readers if reader.eager)

    def cancel(self) -> None:
        for task in self._told:
            task.cancel()

    def _goes_on(self, line: Line, healed: float) -> bool:
        return line.time > healed or line.number >= self.fault.lines - 1


@dataclass(frozen=True, slots=True)
class Played:
    """What one session had of a round."""

    findings: Findings
    outage_s: float


async def play(stage: Stage, fault: Fault, number: int, rng: random.Random) -> list[Played]:
    """One round with every session of the stage.

    Raises AssertionError, Refused, TimeoutError: something did not come back, and the stage may be of no use any more.
    """
    await stage.whole()
    players = [Player(session, fault, number) for session in stage.sessions]
    blows = Blows()
    try:
        await asyncio.gather(*(player.start(rng.randint(*LINES_BEFORE)) for player in players))
        await asyncio.sleep(rng.uniform(0.0, MOMENT_S))
        await fault.strike(stage, stage.sessions, rng, blows)
        await stage.answers()
        healed = time.time()
        await asyncio.gather(*(player.until_over(healed) for player in players))
    finally:
        for player in players:
            player.cancel()
    played = [Played(player.judged(blows), player.outage_s()) for player in players]
    played[0].findings.breaches.extend(blows.breaches)
    return played
