"""When kernels and sessions are culled and when it is announced, on a clock of the test's own."""

from typing import Any

import pytest

from kernel_bridge.culling import Action, Announce, Announced, Apply, Culling, Facts, Rule
from kernel_bridge.settings import BridgeSettings

T = 1_800_000_000.0


class Watched:
    """A session that is looked at now and then; what is announced is remembered as the culler does."""

    def __init__(self, **settings: Any) -> None:
        self.culling = Culling(BridgeSettings(**settings))
        self.announced: dict[Rule, Announced] = {}
        self.last_activity = T
        self.busy = False
        self.used = True
        self.kernel_since: float | None = T

    def at(self, seconds: float) -> Action | None:
        facts = Facts(self.last_activity, self.busy, self.used, self.kernel_since, dict(self.announced))
        action = self.culling.due(T + seconds, facts)
        if isinstance(action, Announce):
            self.announced[action.rule] = action.announced
        return action

    def happens_at(self, seconds: float) -> float | None:
        """What is announced at this time, for when; None if nothing is."""
        action = self.at(seconds)
        return action.announced.at - T if isinstance(action, Announce) else None


def test_an_idle_kernel_is_announced_and_then_stopped() -> None:
    session = Watched()
    assert session.at(0) is None
    assert session.at(3539.9) is None
    assert session.happens_at(3540) == 3600
    assert session.at(3541) is None
    assert session.at(3599.9) is None
    assert session.at(3600) == Apply("kernel_idle")
    session.kernel_since = None
    assert session.at(3602) is None


def test_activity_voids_the_announcement() -> None:
    session = Watched()
    assert session.happens_at(3550) == 3610
    session.last_activity = T + 3599
    assert session.at(3610) is None
    assert session.happens_at(3599 + 3540) == 3599 + 3600
    assert session.at(3599 + 3600) == Apply("kernel_idle")


def test_what_is_overdue_is_announced_first() -> None:
    session = Watched()
    assert session.happens_at(50_000) == 50_060
    assert session.at(50_059) is None
    assert session.at(50_060) == Apply("kernel_idle")


@pytest.mark.parametrize(("notice_s", "idle_s", "lead_s"), [(60.0, 3600.0, 60), (60.0, 60.0, 30), (60.0, 2.0, 1)])
def test_the_notice_is_at_most_half_of_the_limit(notice_s: float, idle_s: float, lead_s: float) -> None:
    session = Watched(culling_notice_s=notice_s, kernel_idle_s=idle_s)
    assert session.at(idle_s - lead_s - 0.01) is None
    assert session.happens_at(idle_s - lead_s) == idle_s


def test_a_busy_session_is_never_idle() -> None:
    session = Watched()
    session.busy = True
    assert [session.at(seconds) for seconds in (3540, 3600, 10 * 86_400)] == [None] * 3
    session.busy = False
    assert isinstance(session.at(10 * 86_400), Announce)


def test_a_cell_that_begins_after_the_announcement_saves_the_kernel() -> None:
    session = Watched()
    session.at(3550)
    session.busy = True
    assert session.at(3600) is None


def test_a_kernel_that_started_late_is_idle_from_its_start() -> None:
    session = Watched()
    session.kernel_since = T + 3000
    assert session.at(3600) is None
    assert session.happens_at(6540) == 6600


def test_a_session_is_closed_after_a_week() -> None:
    session = Watched()
    session.kernel_since = None
    week = 7 * 86_400
    assert session.at(week - 61) is None
    assert session.happens_at(week - 60) == week
    assert session.at(week) == Apply("session_idle")


def test_a_session_that_is_due_takes_its_kernel_with_it() -> None:
    session = Watched(session_idle_s=100.0, kernel_idle_s=100.0, culling_notice_s=10.0)
    assert session.happens_at(90) == 100  # the session
    assert session.happens_at(92) == 102  # the kernel
    assert session.at(100) == Apply("session_idle")


def test_a_session_never_used_goes_without_a_word() -> None:
    session = Watched()
    session.used, session.kernel_since = False, None
    assert session.at(3599) is None
    assert session.at(3600) == Apply("unused_session")
    session.busy = True
    assert session.at(3600) is None


def test_there_is_no_lifetime_by_default() -> None:
    session = Watched()
    session.busy = True
    assert session.at(1e9) is None


def test_a_lifetime_ends_even_a_kernel_that_is_busy() -> None:
    session = Watched(max_lifetime_s=1000.0)
    session.busy = True
    assert session.at(939) is None
    assert session.happens_at(940) == 1000
    session.last_activity = T + 990
    assert session.at(999) is None
    assert session.at(1000) == Apply("max_lifetime")
    session.kernel_since = T + 1005  # the next one
    assert session.at(1010) is None


def test_rules_are_announced_each_for_itself() -> None:
    session = Watched(max_lifetime_s=1000.0, kernel_idle_s=970.0)
    assert session.happens_at(910) == 970
    assert session.happens_at(940) == 1000
    session.last_activity = T + 960
    assert session.at(970) is None
    assert session.at(1000) == Apply("max_lifetime")
