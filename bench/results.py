"""What one run of the benchmark found; also the shape of the JSON file, from which docs/performance.md is written."""

from msgspec import Struct

from bench.stats import Summary

ALL, FAILED = "all", "failed"
"""in `missing`: the whole measure, and how the reason begins where something failed"""


class Figure(Struct, frozen=True, omit_defaults=True):
    """One number about one system."""

    system: str
    quantity: str
    unit: str
    value: float
    """a median where `count` is more than 1"""
    count: int = 1
    """how often it was measured"""
    p95: float | None = None
    iqr: float | None = None
    sessions: int | None = None
    """how many there were, where that varies within one measure"""


class Section(Struct, frozen=True):
    """What one measure found."""

    measure: str
    title: str
    figures: list[Figure]
    missing: dict[str, str]
    """systems that were not measured, and why"""
    noise: Summary | None
    """of a loop that always does the same, run between the rounds"""
    begun: str
    """RFC 3339, UTC"""
    source: str
    """the commit that was measured, with `+` where files differed from it; empty where there is no repository"""
    other_work: float
    """part of the CPUs, 0..1, that was busy before the measure began, when nothing of it ran"""
    took_s: float

    @property
    def failed(self) -> bool:
        """Whether figures are missing because something failed."""
        return any(reason.startswith(FAILED) for reason in self.missing.values())

    def find(self, system: str, quantity: str) -> Figure | None:
        """The first such figure."""
        return next((found for found in self.figures if (found.system, found.quantity) == (system, quantity)), None)


class Report(Struct, frozen=True):
    """One run, or several on the same machine with the same versions: each section says when and of what."""

    begun: str
    """RFC 3339, UTC"""
    took_s: float
    versions: dict[str, str]
    machine: str
    cpus: int
    memory_mib: int
    seed: int
    quick: bool
    """a tenth of the rounds: to see that it works, not for figures"""
    systems: dict[str, str]
    """name: what it is"""
    sections: list[Section]

    def section(self, measure: str) -> Section | None:
        return next((found for found in self.sections if found.measure == measure), None)
