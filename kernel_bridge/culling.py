"""Culling: when an idle kernel is stopped, an unused session dropped, an idle one closed, and when it is announced.

Decisions only, from facts and a clock that the caller reads. What they mean is done in culler.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kernel_bridge.settings import BridgeSettings

Rule = Literal["session_idle", "max_lifetime", "kernel_idle", "unused_session"]


@dataclass(slots=True, frozen=True)
class Announced:
    """What the session was told: `at` this time it happens. It holds as long as `deadline` stays: activity moves it."""

    deadline: float
    at: float


@dataclass(slots=True, frozen=True)
class Facts:
    """A session as it is. Times are seconds since the epoch."""

    last_activity: float
    busy: bool
    """a cell waits, runs or asks for input, or the kernel starts"""
    used: bool
    """it has, or had, a kernel or events"""
    kernel_since: float | None
    """since when the kernel is ready; None: there is none"""
    announced: Mapping[Rule, Announced] = field(default_factory=dict[Rule, Announced])


@dataclass(slots=True, frozen=True)
class Announce:
    """Say that `rule` will be applied."""

    rule: Rule
    announced: Announced


@dataclass(slots=True, frozen=True)
class Apply:
    """Apply `rule` now."""

    rule: Rule


Action = Announce | Apply


class Culling:
    """The rules with the limits of the settings."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings

    def due(self, now: float, facts: Facts) -> Action | None:
        """What is to be done with the session now; one thing at a time, so ask again soon. `now`: as in the facts.

        Nothing but the drop of a session that was never used is done unannounced: where a limit passed while nobody
        looked (the machine slept), the announcement comes first and its time begins then.
        """
        if not facts.used and not facts.busy and facts.kernel_since is None:
            over = now >= facts.last_activity + self._settings.unused_session_s
            return Apply("unused_session") if over else None
        for rule, since, limit_s in self._clocks(facts):
            action = self._step(rule, since + limit_s, limit_s, now, facts)
            if action is not None:
                return action
        return None

    def limit_s(self, rule: Rule) -> float:
        """The limit of a rule that can be due."""
        settings = self._settings
        limits: dict[Rule, float | None] = {
            "session_idle": settings.session_idle_s,
            "max_lifetime": settings.max_lifetime_s,
            "kernel_idle": settings.kernel_idle_s,
            "unused_session": settings.unused_session_s,
        }
        return limits[rule] or 0.0

    def _clocks(self, facts: Facts) -> list[tuple[Rule, float, float]]:
        """The rules that bear on the session, the one that takes most away first: since when, and how long."""
        settings = self._settings
        clocks: list[tuple[Rule, float, float]] = []
        if not facts.busy:
            clocks.append(("session_idle", facts.last_activity, settings.session_idle_s))
        if facts.kernel_since is not None:
            if settings.max_lifetime_s is not None:
                clocks.append(("max_lifetime", facts.kernel_since, settings.max_lifetime_s))
            if not facts.busy:
                idle_since = max(facts.last_activity, facts.kernel_since)
                clocks.append(("kernel_idle", idle_since, settings.kernel_idle_s))
        return clocks

    def _step(self, rule: Rule, deadline: float, limit_s: float, now: float, facts: Facts) -> Action | None:
        # Half of a short limit is left in peace
        lead_s = min(self._settings.culling_notice_s, limit_s / 2)
        if now < deadline - lead_s:
            return None
        told = facts.announced.get(rule)
        if told is None or told.deadline != deadline:
            return Announce(rule, Announced(deadline, now + lead_s))
        return Apply(rule) if now >= told.at else None
