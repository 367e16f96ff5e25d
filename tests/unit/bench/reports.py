"""Reports as a test needs them."""

from bench.results import Figure, Report, Section
from bench.stats import Summary


def section(measure: str, *figures: Figure, missing: dict[str, str] | None = None, other_work: float = 0.0) -> Section:
    noise = Summary(10, 2.0, 2.4, 0.1)
    return Section(
        measure, measure.title(), list(figures), missing or {}, noise, "2026-11-22T00:00:00Z", "abc", other_work, 1.0
    )


def report(*sections: Section, version: str = "1") -> Report:
    return Report(
        begun="2026-11-22T00:00:00Z",
        took_s=3.0,
        versions={"kernelwire": version},
        machine="Linux",
        cpus=2,
        memory_mib=4096,
        seed=1,
        quick=False,
        systems={figure.system: "a system" for one in sections for figure in one.figures},
        sections=list(sections),
    )


def time(system: str, value: float) -> Figure:
    return Figure(system, "time", "ms", value, 10, 2 * value, value / 4)
