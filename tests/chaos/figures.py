"""`python -m tests.chaos.figures SOAK.json CHAOS.json...`: writes what runs found into docs/reliability.md.

Faults may have been run one by one, each into a file of its own. A part without a file stays as it is.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tests.chaos import results
from tests.chaos.faults import FAULTS
from tests.chaos.soak import results as soak

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    files = [Path(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    if len(files) < 2:
        print("usage: python -m tests.chaos.figures SOAK.json CHAOS.json [CHAOS.json ...]", file=sys.stderr)
        return 2
    text = PAGE.read_text()
    soaked, *struck = [file.read_bytes() if file.exists() else b"" for file in files]
    if soaked:
        text = replaced(text, "soak", soak_part(soaked))
    if all(struck):
        text = replaced(text, "chaos", chaos_part(*struck))
    PAGE.write_text(text)
    return 0


def replaced(text: str, part: str, made: str) -> str:
    """The page with another text between the marks of a part."""
    begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->"
    before, _, rest = text.partition(begin)
    return f"{before}{begin}{made}{end}{rest.partition(end)[2]}"


def chaos_part(*runs: bytes) -> str:
    """Markdown. Raises msgspec.MsgspecError."""
    report = joined([msgspec.json.decode(data, type=results.Report) for data in runs])
    rows = [results.cells(row) for row in report.rows if row.skipped is None]
    skipped = [f"- `{row.fault}` was not done: {row.skipped}" for row in report.rows if row.skipped is not None]
    said = (
        f"`make chaos`, seed {report.seed}: {report.sessions} sessions at the same time with {report.readers} readers "
        f"each, {report.fronts} fronts, version {report.version}, {report.cpus} CPUs, {report.machine}, "
        f"{report.took_s / 60:.0f} minutes. Promises broken: {len(report.breaches)}."
    )
    words = (
        "Missing lines lie beside a `gap` or, on a full disk, a `dropped` event; unsent are those that a killed kernel "
        "had printed and not handed over. The outage is the longest time that a reader was without a line while its "
        "cell printed."
    )
    return _paragraphs(said, words, _table(results.HEAD, rows), "\n".join(skipped))


def joined(reports: Sequence[results.Report]) -> results.Report:
    """One report of runs of several faults, in the order of faults.py; of the rest the first says what it was."""
    rows = {row.fault: row for report in reports for row in report.rows}
    stops = [row for report in reports for row in report.rows if row.fault == "stop"]
    if stops:
        rows["stop"] = msgspec.structs.replace(stops[0], rounds=sum(row.rounds for row in stops))
    order = [*(fault.name for fault in FAULTS), "stop"]
    return msgspec.structs.replace(
        reports[0],
        took_s=sum(report.took_s for report in reports),
        rows=sorted(rows.values(), key=lambda row: order.index(row.fault)),
        breaches=[breach for report in reports for breach in report.breaches],
    )


def soak_part(data: bytes) -> str:
    """Markdown. Raises msgspec.MsgspecError."""
    report = msgspec.json.decode(data, type=soak.Report)
    done = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(report.done.items()))
    said = (
        f"`make soak`: {report.sessions} sessions for {report.took_s / 60:.0f} minutes, {report.fronts} fronts, "
        f"version {report.version}, {report.cpus} CPUs, {report.machine}. Wrong answers: {len(report.failures)}. "
        f"Done: {done}."
    )
    return _paragraphs(said, _table(("", *soak.HEAD[1:]), [soak.cells(trend) for trend in report.trends]))


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
