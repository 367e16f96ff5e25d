"""The checks of a chaos run: what they accept, and that each of them can fail."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.chaos.chatter import Chatter, Run
from tests.chaos.checks import BUFFER_S, Blow, Findings, Loss, Story, judge, judge_runs
from tests.chaos.session import Cell
from tests.chaos.transcript import Event, Transcript

PAUSE_S = 0.01
BEGIN = 1_000.0
CELL = Chatter("c", 1_000_000, PAUSE_S)


class Log:
    """Events as the service would write them, one line each PAUSE_S."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.text = ""
        self.add("cell", state="queued")
        self.add("cell", state="running")
        self.add("execute_input")

    def add(self, type: str, *, at: float = 0.0, cell: str | None = "c", late: bool = False, **content: Any) -> None:
        time = datetime.fromtimestamp(BEGIN + at, UTC)
        self.events.append(Event(len(self.events) + 1, cell, time, type, content, late))

    def lines(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            text = f"c {number} {BEGIN + number * PAUSE_S:.4f}\n"
            self.text += text
            self.add("stream", at=number * PAUSE_S, name="stdout", text=text)

    def end(self, end: str = "ok") -> None:
        self.add("cell", state="done", end=end)


def judged(log: Log, loss: Loss, *, printed: int, at: float = 0.5, gaps: int = 0, **told: Any) -> Findings:
    """`at`: when it was struck, seconds after the first line."""
    shown = {"cell": "c", "state": "done", "end": "ok", "text": log.text} | told
    cell = msgspec.convert(shown, Cell)
    return judge(log.events, [Story(CELL, printed, 1, cell)], Blow(loss, (BEGIN + at,), gaps))


def whole() -> Log:
    log = Log()
    log.lines(0, 99)
    log.end()
    return log


def test_nothing_is_missing() -> None:
    found = judged(whole(), "nothing", printed=100)
    assert (found.breaches, found.printed, found.missing) == ([], 100, 0)


def test_a_line_that_nobody_has_seen() -> None:
    log = Log()
    log.lines(0, 60)
    log.lines(62, 99)
    log.end()
    found = judged(log, "nothing", printed=100)
    assert found.missing == 1
    assert found.breaches == ["c: lines 61 to 61 are missing: nothing may be"]


def test_lines_missing_at_the_end() -> None:
    found = judged(whole(), "nothing", printed=103)
    assert found.missing == 3
    assert "lines 100 to 102" in found.breaches[0]


def test_a_doubled_line() -> None:
    log = Log()
    log.lines(0, 60)
    log.lines(60, 99)
    log.end()
    found = judged(log, "nothing", printed=100)
    assert found.doubled == 1
    assert found.breaches == ["c: 1 lines doubled"]


def test_lines_out_of_order() -> None:
    log = Log()
    log.lines(0, 9)
    log.lines(11, 11)
    log.lines(10, 10)
    log.lines(12, 99)
    log.end()
    assert "c: lines out of order" in judged(log, "nothing", printed=100).breaches


def test_half_a_line() -> None:
    log = whole()
    log.events.insert(-1, Event(0, "c", log.events[-1].time, "stream", {"name": "stdout", "text": "\n"}))
    assert any("no line of its own" in words for words in judged(log, "nothing", printed=100).breaches)


def test_a_line_in_two_events() -> None:
    log = Log()
    log.add("stream", name="stdout", text=f"c 0 {BEGIN}")
    log.add("stream", name="stdout", text=f"\nc 1 {BEGIN + 9}\n")
    log.end()
    assert not judged(log, "nothing", printed=2, text=f"c 0 {BEGIN}\nc 1 {BEGIN + 9}\n").breaches


def after_a_host(*, mark: str | None, at: float, first: int = 200) -> Log:
    """Lines 51 to `first` - 1 are missing; the host was killed at 0.5 s and back at `at`."""
    log = Log()
    log.lines(0, 50)
    if mark is not None:
        log.add(mark, at=at, reason="the host was down", count=200, bytes=1)
    log.lines(first, 299)
    log.end()
    return log


def test_a_gap_explains_what_was_printed_without_a_host() -> None:
    found = judged(after_a_host(mark="gap", at=1.9), "host", printed=300, gaps=1)
    assert (found.breaches, found.missing, found.gaps) == ([], 149, 1)


def test_lines_missing_without_a_gap() -> None:
    found = judged(after_a_host(mark=None, at=1.9), "host", printed=300, gaps=1)
    assert found.breaches == ["c: lines 51 to 199 are missing: no `gap` is there"]


def test_a_gap_explains_nothing_printed_long_before_the_fault() -> None:
    found = judged(after_a_host(mark="gap", at=1.9), "host", printed=300, gaps=1, at=1.2)
    assert "before the fault" in found.breaches[0]


def test_a_gap_explains_nothing_printed_long_after_it() -> None:
    found = judged(after_a_host(mark="gap", at=1.9 - 2 * BUFFER_S), "host", printed=300, gaps=1)
    assert "after the gap" in found.breaches[0]


def test_more_lines_than_fit_the_time_without_a_host() -> None:
    log = Log()
    log.lines(0, 50)
    log.add("gap", at=0.6, reason="")
    log.events += [Event(0, "c", log.events[-1].time, "stream", {"name": "", "text": f"c 900 {BEGIN + 0.6}\n"})]
    log.end()
    found = judged(log, "host", printed=901, gaps=1, text=log.text + f"c 900 {BEGIN + 0.6}\n")
    assert "explains" in found.breaches[0]


@pytest.mark.parametrize("loss", ["nothing", "kernel"])
def test_a_gap_where_no_host_failed(loss: Loss) -> None:
    log = whole()
    log.add("gap", reason="", cell=None)
    assert any("gaps" in words for words in judged(log, loss, printed=100).breaches)


def test_two_gaps_for_one_fault() -> None:
    log = after_a_host(mark="gap", at=1.9)
    log.add("gap", reason="", cell=None)
    assert any("2 gaps" in words for words in judged(log, "host", printed=300, gaps=1).breaches)


def test_what_a_killed_kernel_kept_for_itself() -> None:
    found = judged(whole(), "kernel", printed=103, at=0.9)
    assert (found.breaches, found.unsent, found.missing) == ([], 3, 0)


def test_what_a_kernel_had_printed_long_before_it_was_killed() -> None:
    assert judged(whole(), "kernel", printed=103, at=5.0).breaches


def test_a_killed_kernel_explains_no_hole() -> None:
    assert judged(after_a_host(mark=None, at=1.9), "kernel", printed=300).breaches


def test_dropped_explains_what_it_counts() -> None:
    found = judged(after_a_host(mark="dropped", at=1.9), "disk", printed=300)
    assert (found.breaches, found.missing) == ([], 149)
    assert judged(after_a_host(mark="dropped", at=1.9, first=290), "disk", printed=300).breaches
    assert judged(after_a_host(mark="dropped", at=1.9), "nothing", printed=300).breaches


def test_a_fault_beside_the_cell_shows_nothing() -> None:
    assert judged(whole(), "nothing", printed=100, at=-1.0).breaches == [
        "the fault struck before the cell's first line"
    ]
    assert judged(whole(), "nothing", printed=100, at=2.0).breaches == ["the fault struck after the cell's last line"]


def test_the_cell_says_what_the_log_says() -> None:
    assert judged(whole(), "nothing", printed=100, text="c 0").breaches
    assert judged(whole(), "nothing", printed=100, end="lost").breaches
    assert judged(whole(), "nothing", printed=100, state="running", end=None).breaches


@pytest.mark.parametrize("what", ["two ends", "late", "no end", "begun twice"])
def test_the_life_of_a_cell(what: str) -> None:
    log = whole()
    if what == "no end":
        log.events.pop()
    elif what == "late":
        log.add("status", late=True)
    elif what == "two ends":
        log.end()
    else:
        log.add("execute_input")
    assert judged(log, "nothing", printed=100).breaches


def test_a_cell_that_ran_twice() -> None:
    log = whole()
    cell = Cell(cell="c", state="done", end="ok", text=log.text)
    blow = Blow("nothing", (BEGIN + 0.5,))
    assert not judge(log.events, [Story(CELL, 100, 1, cell)], blow).breaches
    assert judge(log.events, [Story(CELL, 100, 2, cell)], blow).breaches == ["c ended ok and ran 2 times"]


def test_runs() -> None:
    in_order = [Run("a", 1, 7), Run("b", 2, 7), Run("c", 1, 8), Run("d", 2, 8)]
    assert judge_runs(in_order, {"c"}) == []
    assert judge_runs(in_order, set()) == ["c ran in another kernel (8) than b (7)"]
    assert judge_runs([Run("a", 1, 7), Run("b", 1, 7)], set()) == ["b found 0 cells before it, 1 expected"]
    assert judge_runs([Run("a", 1, 7), Run("a", 2, 7)], set()) == ["a ran 2 times"]


def raw(seq: int, text: str = "") -> Any:
    return (
        f'{{"seq":{seq},"cell":null,"time":"2026-11-22T20:00:00Z","type":"stream","content":{{"t":"{text}"}}}}'.encode()
    )


def test_all_readers_see_the_same_bytes() -> None:
    transcript = Transcript()
    assert transcript.take("one", 0, [raw(1), raw(2)]) == 2
    assert transcript.take("two", 0, [raw(1)]) == 1
    assert transcript.take("two", 1, [raw(2), raw(3)]) == 3
    assert transcript.breaches == []
    assert [event.seq for event in transcript.since(1)] == [2, 3]


@pytest.mark.parametrize(
    ("cursor", "seen", "words"),
    [
        (2, [raw(2)], "came again"),
        (1, [raw(3)], "missing"),
        (1, [raw(2, "other")], "others had"),
        (2, [raw(4)], "missing"),
    ],
)
def test_a_reader_that_sees_something_else(cursor: int, seen: list[Any], words: str) -> None:
    transcript = Transcript()
    transcript.take("one", 0, [raw(1), raw(2)])
    transcript.take("two", cursor, seen)
    assert len(transcript.breaches) == 1
    assert words in transcript.breaches[0]
