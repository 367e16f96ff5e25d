"""What a soak run found: the table, and the shape of its JSON file."""

from msgspec import Struct

from tests.chaos.soak.samples import Sample, Trend


class Report(Struct, frozen=True):
    machine: str
    cpus: int
    version: str
    seed: int
    sessions: int
    fronts: int
    took_s: float
    done: dict[str, int]
    """what users did, by name"""
    samples: list[Sample]
    trends: list[Trend]
    failures: list[str]


HEAD = ("", "first third", "last third", "at most")


def cells(trend: Trend) -> tuple[str, ...]:
    """As HEAD names them."""
    most = f"{trend.most:,.1f}" if trend.most is not None else "-"
    return trend.what, f"{trend.first:,.1f}", f"{trend.last:,.1f}", most


def render(report: Report) -> str:
    """For a terminal."""
    rows = [HEAD, *(cells(trend) for trend in report.trends)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    lines = [
        "  ".join(
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    grown = [f"GREW: {trend.what}" for trend in report.trends if not trend.fine]
    failed = [f"FAILED: {words}" for words in report.failures]
    done = ", ".join(f"{name} {count}" for name, count in sorted(report.done.items()))
    end = f"{report.sessions} sessions, {report.fronts} fronts, {report.took_s:.0f} s: {done}"
    return "\n".join([*lines, *grown, *failed, end])
