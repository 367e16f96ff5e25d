"""What a run found: the table, and the shape of its JSON file."""

from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from tests.chaos.checks import Findings


class Breach(Struct, frozen=True):
    """A promise that was broken. `round` and the run's seed make the same moments again."""

    fault: str
    round: int
    words: str


class Row(Struct, frozen=True):
    """One fault."""

    fault: str
    what: str
    rounds: int
    """how often it struck"""
    lines: int
    """printed by the cells that it fell into"""
    missing: int
    """of them, each beside a `gap` or, on a full disk, a `dropped` event"""
    unsent: int
    """of them, that a killed kernel had not handed over"""
    doubled: int
    gaps: int
    longest_outage_s: float
    """that a reader was without a line while its cell printed"""
    breaches: int
    skipped: str | None = None
    """why it was not done"""


class Report(Struct, frozen=True):
    seed: int
    machine: str
    cpus: int
    version: str
    sessions: int
    fronts: int
    readers: int
    """of each session at the same time"""
    took_s: float
    rows: list[Row]
    breaches: list[Breach]


@dataclass(slots=True)
class Count:
    """A row that grows."""

    fault: str
    what: str
    rounds: int = 0
    sums: Findings = field(default_factory=Findings)
    longest_outage_s: float = 0.0
    breaches: list[Breach] = field(default_factory=list[Breach])
    skipped: str | None = None

    def add(self, found: Findings, outage_s: float) -> None:
        """What one session had of one round."""
        for name in ("printed", "missing", "unsent", "doubled", "gaps"):
            setattr(self.sums, name, getattr(self.sums, name) + getattr(found, name))
        self.longest_outage_s = max(self.longest_outage_s, outage_s)

    def row(self) -> Row:
        sums = self.sums
        return Row(
            fault=self.fault,
            what=self.what,
            rounds=self.rounds,
            lines=sums.printed,
            missing=sums.missing,
            unsent=sums.unsent,
            doubled=sums.doubled,
            gaps=sums.gaps,
            longest_outage_s=round(self.longest_outage_s, 2),
            breaches=len(self.breaches),
            skipped=self.skipped,
        )


HEAD = ("fault", "rounds", "lines printed", "missing", "unsent", "doubled", "gaps", "longest outage (s)", "breaches")


def cells(row: Row) -> tuple[str, ...]:
    """As HEAD names them."""
    if row.skipped is not None:
        return (row.fault, "-", *("" for _ in HEAD[2:]))
    numbers = (row.rounds, row.lines, row.missing, row.unsent, row.doubled, row.gaps)
    return (row.fault, *(f"{number:,}" for number in numbers), f"{row.longest_outage_s:.2f}", str(row.breaches))


def render(report: Report) -> str:
    """The table for a terminal."""
    rows = [HEAD, *(cells(row) for row in report.rows)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    lines = ["  ".join(_aligned(text, widths[at], at) for at, text in enumerate(row)).rstrip() for row in rows]
    skipped = [f"{row.fault}: not done: {row.skipped}" for row in report.rows if row.skipped is not None]
    broken = [f"{breach.fault} round {breach.round}: {breach.words}" for breach in report.breaches]
    words = "no promise was broken" if not broken else f"{len(broken)} promises were broken"
    end = f"seed {report.seed}, {report.sessions} sessions, {report.fronts} fronts, {report.took_s:.0f} s: {words}"
    return "\n".join([*lines, *skipped, *broken, end])


def encode(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _aligned(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column == 0 else text.rjust(width)
