"""What must hold for one session after one fault. Pure: from events and numbers to findings."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.chaos.chatter import Chatter, Line, Run
from tests.chaos.session import Cell
from tests.chaos.transcript import Event

Loss = Literal["nothing", "host", "kernel", "disk"]
"""Whose fault it was, which says what may be missing: nothing; lines beside a `gap`, of the time without a host; the
end of the killed kernel's output; lines beside a `dropped` event, no more than it counts."""

BUFFER_S = 0.5
"""lines printed so long before a fault may still have been on their way to the host's log, and so long after the host's
`gap` event before its sockets were connected; a busy machine included"""
MARKS = {"host": "gap", "disk": "dropped"}


@dataclass(frozen=True, slots=True)
class Blow:
    """What was done to the service. Times are seconds since the epoch."""

    loss: Loss
    at: tuple[float, ...]
    """when it was struck: once, or several times"""
    gaps: int = 0
    """how many `gap` events it may cost each session"""


@dataclass(frozen=True, slots=True)
class Story:
    """One cell: what it did by itself, and what the service says of it."""

    cell: Chatter
    printed: int
    """lines that it printed, as it says outside of the service"""
    runs: int
    """how often it ran, as it says"""
    told: Cell
    """what evaluate answered"""


@dataclass(slots=True)
class Findings:
    """Of one session and one fault. `breaches`: what a promise was broken by."""

    printed: int = 0
    missing: int = 0
    unsent: int = 0
    """lines that a killed kernel had printed, and nobody has seen"""
    doubled: int = 0
    gaps: int = 0
    breaches: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class _Hole:
    """Lines that nobody has seen: from number `first`, between the times of the lines around, and the marks there."""

    first: int
    count: int
    after: float | None
    before: float | None
    marks: tuple[Event, ...]


def judge(events: Sequence[Event], stories: Sequence[Story], blow: Blow) -> Findings:
    """All that `events`, those of one session since before the fault, must be. The fault fell into the first story."""
    found = Findings()
    _judge_moment(events, stories[0], blow, found)
    for story in stories:
        _judge_lines(events, story, blow, found)
        _judge_life(events, story, blow, found)
        if blow.loss != "disk":  # what could not be stored is in the cell's text all the same
            _judge_text(events, story, found)
    gaps = [event for event in events if event.type == "gap"]
    found.gaps = len(gaps)
    if len(gaps) > blow.gaps:
        found.breaches.append(f"{len(gaps)} gaps, at most {blow.gaps} expected: {[gap.content for gap in gaps]}")
    dropped = sum(event.content["count"] for event in events if event.type == "dropped")
    if blow.loss == "disk" and found.missing > dropped:
        found.breaches.append(f"{found.missing} lines missing, `dropped` counts {dropped} events")
    if blow.loss != "disk" and dropped:
        found.breaches.append(f"{dropped} events dropped")
    return found


def judge_runs(runs: Sequence[Run], new_kernel_before: set[str]) -> list[str]:
    """Breaches in a session's whole list of runs: a cell that ran twice, variables that were lost.

    `new_kernel_before`: cells before which a kernel was killed, so that a new one may run them.
    """
    breaches: list[str] = []
    before: Run | None = None
    cells = [run.cell for run in runs]
    breaches += [f"{cell} ran {cells.count(cell)} times" for cell in sorted(set(cells)) if cells.count(cell) > 1]
    for run in runs:
        fresh = before is None or run.cell in new_kernel_before
        if before is not None and not fresh and run.kernel != before.kernel:
            breaches.append(f"{run.cell} ran in another kernel ({run.kernel}) than {before.cell} ({before.kernel})")
        expected = before.count + 1 if before is not None and before.kernel == run.kernel else 1
        if run.count != expected:
            breaches.append(f"{run.cell} found {run.count - 1} cells before it, {expected - 1} expected")
        before = run
    return breaches


def _judge_moment(events: Sequence[Event], story: Story, blow: Blow, found: Findings) -> None:
    """A fault beside the cell would show nothing."""
    times = [line.time for line in lines_of(events, story.cell)]
    if not any(time <= blow.at[0] for time in times):
        found.breaches.append("the fault struck before the cell's first line")
    if blow.loss != "kernel" and not any(time > blow.at[0] for time in times):
        found.breaches.append("the fault struck after the cell's last line")


def lines_of(events: Iterable[Event], cell: Chatter) -> list[Line]:
    """The whole lines of a cell, in the order of the log."""
    return [item for item in _items(events, cell) if isinstance(item, Line)]


def _items(events: Iterable[Event], cell: Chatter) -> Iterator[Line | Event | str]:
    """Lines of the cell, between them the events that mark a loss, and as text what is no line of ours."""
    rest, after_mark = "", False
    for event in events:
        if event.type in MARKS.values() and event.cell in (cell.cell, None):
            rest, after_mark = "", True
            yield event
        elif event.type == "stream" and event.cell == cell.cell:
            *whole, rest = (rest + event.content["text"]).split("\n")
            for text in whole:
                try:
                    yield Line.read(text)
                except ValueError:
                    if not after_mark:  # there the begin of a line may be missing, which the hole before it says
                        yield text
                after_mark = False


def _judge_lines(events: Sequence[Event], story: Story, blow: Blow, found: Findings) -> None:
    name = story.cell.cell
    numbers = [line.number for line in lines_of(events, story.cell)]
    doubled = len(numbers) - len(set(numbers))
    found.printed += story.printed
    found.doubled += doubled
    if doubled:
        found.breaches.append(f"{name}: {doubled} lines doubled")
    elif numbers != sorted(numbers):
        found.breaches.append(f"{name}: lines out of order")
    if numbers and numbers[-1] > story.printed:  # a kernel may be killed between a print and the note of it
        found.breaches.append(f"{name}: line {numbers[-1]} seen, {story.printed} printed")
    torn = [item for item in _items(events, story.cell) if isinstance(item, str)]
    found.breaches += [f"{name}: no line of its own: {text!r}" for text in torn[:3]]
    for hole in _holes(events, story):
        if blow.loss == "kernel" and hole.before is None:
            found.unsent += hole.count
        else:
            found.missing += hole.count
        reason = _unexplained(hole, story.cell, blow)
        if reason is not None:
            end = hole.first + hole.count - 1
            found.breaches.append(f"{name}: lines {hole.first} to {end} are missing: {reason}")


def _holes(events: Sequence[Event], story: Story) -> list[_Hole]:
    """What is missing between the lines of a cell, and behind them."""
    holes: list[_Hole] = []
    marks: list[Event] = []
    expected, last = 0, None
    for item in _items(events, story.cell):
        if isinstance(item, Event):
            marks.append(item)
        elif isinstance(item, Line) and item.number >= expected:
            if item.number > expected:
                holes.append(_Hole(expected, item.number - expected, last, item.time, tuple(marks)))
            expected, last, marks = item.number + 1, item.time, []
    if story.printed > expected:
        holes.append(_Hole(expected, story.printed - expected, last, None, tuple(marks)))
    return holes


def _unexplained(hole: _Hole, cell: Chatter, blow: Blow) -> str | None:
    """Why these lines should not be missing; None where the fault explains it."""
    if blow.loss == "nothing":
        return "nothing may be"
    if blow.loss == "kernel":
        if hole.before is not None:
            return "more came after them"
        late_enough = hole.after is None or hole.after >= min(blow.at) - BUFFER_S
        return None if late_enough else "the kernel was killed much later"
    marks = [mark for mark in hole.marks if mark.type == MARKS[blow.loss]]
    if not marks:
        return f"no `{MARKS[blow.loss]}` is there"
    if blow.loss == "disk":
        return None
    back = marks[-1].time.timestamp()
    if hole.after is not None and hole.after < min(blow.at) - BUFFER_S:
        return f"they were printed up to {min(blow.at) - hole.after:.2f} s before the fault"
    if hole.before is not None and hole.before > back + BUFFER_S:
        return f"they were printed up to {hole.before - back:.2f} s after the gap"
    if cell.pause_s:
        most = math.ceil((back - min(blow.at) + 2 * BUFFER_S) / cell.pause_s)
        if hole.count > most:
            return f"{hole.count} lines, the time without a host explains {most}"
    return None


def _judge_life(events: Sequence[Event], story: Story, blow: Blow, found: Findings) -> None:
    name = story.cell.cell
    own = [event for event in events if event.cell == name]
    states = [event.content["state"] for event in own if event.type == "cell"]
    if states.count("queued") != 1 or states.count("done") != 1 or states[-1:] != ["done"] or len(states) > 3:
        found.breaches.append(f"{name}: its states were {states}")
    begun = sum(event.type == "execute_input" for event in own)
    if begun > 1:
        found.breaches.append(f"{name}: its kernel began {begun} times with it")
    if story.runs != (0 if story.told.end == "aborted" else 1):
        found.breaches.append(f"{name} ended {story.told.end} and ran {story.runs} times")
    if story.told.state != "done" or story.told.end is None:
        found.breaches.append(f"{name}: has no end")
    ends = [event.content["end"] for event in own if event.type == "cell" and event.content["state"] == "done"]
    if ends and ends[-1] != story.told.end:
        found.breaches.append(f"{name}: evaluate says {story.told.end}, the log {ends[-1]}")
    late = [event for event in own if event.late]
    if late:
        found.breaches.append(f"{name}: {len(late)} events after its end")


def _judge_text(events: Sequence[Event], story: Story, found: Findings) -> None:
    """The folded cell says what the log says."""
    logged = "".join(
        event.content["text"] for event in events if event.type == "stream" and event.cell == story.cell.cell
    )
    if story.told.outputs_truncated is None and story.told.text != logged:
        found.breaches.append(
            f"{story.cell.cell}: the cell's text has {len(story.told.text)} characters, its events {len(logged)}"
        )
