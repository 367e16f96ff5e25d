"""What a report holds as rows of words, for the terminal and for docs/performance.md. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.results import Figure, Report, Section
from bench.stats import Summary
from bench.systems import RAW_STOCK
from bench.targets import TARGETS, Target

NONE = "-"
QUIET = 0.1
"""the part of the CPUs that other work may take"""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as words; a row has as many as `head`."""

    head: list[str]
    rows: list[list[str]]


def of_targets(report: Report) -> Table:
    """What is to be reached by what was measured, and whether it is."""
    wanted = [target for target in TARGETS if report.section(target.measure) is not None]
    return Table(
        ["measure", "others", "target", "kernelwire", "reached"], [_target(report, target) for target in wanted]
    )


def missed(report: Report) -> list[str]:
    """Targets that kernelwire was measured for and did not reach, as sentences."""
    found: list[str] = []
    for target in TARGETS:
        value = target.value(report, target.system)
        if value is not None and not target.met(value):
            found.append(f"{target.about}: {words(value, target.unit)} instead of {_limit(target)}")
    return found


def of_section(section: Section) -> Table:
    """A row for each system, and each number of sessions where that varies."""
    quantities = list(dict.fromkeys((figure.quantity, figure.unit) for figure in section.figures))
    with_sessions = any(figure.sessions is not None for figure in section.figures)
    ratio = _ratio_base(section)
    head = ["system"] + (["sessions"] if with_sessions else [])
    for quantity, unit in quantities:
        head.append(f"{quantity}, {unit}" if unit else quantity)
        head += ["p95", "IQR"] if _has_spread(section, quantity) else []
    head += [f"x {RAW_STOCK}"] if ratio is not None else []
    rows: list[list[str]] = []
    for system, sessions in dict.fromkeys((figure.system, figure.sessions) for figure in section.figures):
        row = [system] + ([str(sessions)] if with_sessions else [])
        for quantity, _ in quantities:
            figure = _find(section.figures, system, quantity, sessions)
            row.append(NONE if figure is None else number(figure.value))
            if _has_spread(section, quantity):
                row += [_or_none(figure and figure.p95), _or_none(figure and figure.iqr)]
        if ratio is not None:
            first = _find(section.figures, system, ratio.quantity, sessions)
            row.append(NONE if first is None else number(first.value / ratio.value))
        rows.append(row)
    return Table(head, rows)


def disturbed(report: Report) -> str:
    """A sentence where other work ran on the machine; empty where none did."""
    most = max((section.other_work for section in report.sections), default=0.0)
    if most <= QUIET:
        return ""
    return (
        f"The machine was not quiet: before measures began, other work took up to {100 * most:.0f} % of its CPUs. "
        "Times, and ratios of times, are not to be relied on; counts, memory and CPU seconds are less touched."
    )


def noise(summary: Summary | None) -> str:
    """A sentence; empty where no noise was measured."""
    if summary is None:
        return ""
    return (
        f"noise: a loop of {summary.median_ms:.2f} ms has p95 {summary.p95_ms / summary.median_ms:.2f} x its median, "
        f"IQR {100 * summary.iqr_ms / summary.median_ms:.0f} %"
    )


def words(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".strip()


def number(value: float) -> str:
    """With as many digits as it deserves."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def _target(report: Report, target: Target) -> list[str]:
    value = target.value(report, target.system)
    others = target.others(report)
    listed = ", ".join(f"{name} {number(other)}" for name, other in sorted(others.items(), key=lambda one: one[1]))
    if value is None:
        return [target.about, listed or NONE, _limit(target), NONE, target.missing(report)]
    return [target.about, listed or NONE, _limit(target), words(value, target.unit), _verdict(target, value)]


def _verdict(target: Target, value: float) -> str:
    return "yes" if target.met(value) else "**no**"


def _limit(target: Target) -> str:
    if target.limit == 0:
        return "0"
    return f"{'>=' if target.at_least else '<='} {words(target.limit, target.unit)}"


def _ratio_base(section: Section) -> Figure | None:
    """The raw kernel's first time, which the others' are compared with."""
    timed: Iterator[Figure] = (one for one in section.figures if one.unit == "ms" and one.sessions is None)
    first = next(timed, None)
    base = None if first is None else _find(section.figures, RAW_STOCK, first.quantity, None)
    return base if base is not None and base.value > 0 else None


def _has_spread(section: Section, quantity: str) -> bool:
    return any(figure.p95 is not None for figure in section.figures if figure.quantity == quantity)


def _or_none(value: float | None) -> str:
    return NONE if value is None else number(value)


def _find(figures: Sequence[Figure], system: str, quantity: str, sessions: int | None) -> Figure | None:
    wanted = (system, quantity, sessions)
    return next((one for one in figures if (one.system, one.quantity, one.sessions) == wanted), None)
