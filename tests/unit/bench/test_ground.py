import random
import threading
import time
from pathlib import Path

import pytest

from bench.ground import Ground, Plan, spread, timed, together
from bench.interrupts import Interrupts
from bench.noise import BusyLoop


def ground(plan: Plan, left_s: float = 60) -> Ground:
    until = time.monotonic() + left_s
    order = random.Random(1)  # noqa: S311  an order, no secret
    return Ground(plan, order, Interrupts(), Path(), print, until, BusyLoop(1))


@pytest.mark.parametrize(
    ("plan", "rounds"), [(Plan(), 20), (Plan(quick=True), 2), (Plan(rounds=7), 7), (Plan(rounds=70), 20)]
)
def test_rounds_are_as_planned_and_noise_is_measured(plan: Plan, rounds: int) -> None:
    found = ground(plan)
    assert list(found.rounds(20)) == list(range(rounds))
    assert len(found.noise_s) == rounds


def test_there_is_one_round_at_least_and_none_after_the_time() -> None:
    assert list(ground(Plan(quick=True)).rounds(3)) == [0]
    assert list(ground(Plan(), left_s=-1).rounds(20)) == [0]


def test_all_that_is_done_together_begins_together() -> None:
    inside = threading.Barrier(3, timeout=10)
    assert sorted(together(3, lambda number: number + 0 * inside.wait())) == [0, 1, 2]


def test_a_failure_among_many_is_raised_when_all_have_ended() -> None:
    ended: list[int] = []

    def do(number: int) -> None:
        if number == 1:
            raise ValueError("one")
        ended.append(number)

    with pytest.raises(ValueError, match="one"):
        together(3, do, at_once=1)
    assert ended == [0, 2]


def test_times_become_milliseconds() -> None:
    found = timed("a", "time", [0.002, 0.001, 0.003])
    assert (found.value, found.count, found.unit) == (2.0, 3, "ms")


def test_one_value_has_no_spread() -> None:
    assert spread("a", "wall", "s", [2.0]).p95 is None
    assert spread("a", "wall", "s", [1.0, 2.0, 9.0]).value == 2.0
