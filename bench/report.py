"""A run's report as text for a terminal."""

from collections.abc import Iterator

from bench import tables
from bench.results import Report
from bench.tables import Table


def render(report: Report) -> str:
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    yield f"{versions}; {report.machine}, {report.cpus} CPUs, {report.memory_mib} MiB"
    yield f"seed {report.seed}, {report.took_s:.0f} s{', a short run: no figures to go by' if report.quick else ''}"
    yield from (f"  {name:<22} {about}" for name, about in report.systems.items())
    for section in report.sections:
        yield ""
        yield f"{section.title} ({section.measure}, {section.took_s:.0f} s)"
        yield from _table(tables.of_section(section))
        yield from (f"  {name}: {reason}" for name, reason in section.missing.items())
        if section.noise is not None:
            yield f"  {tables.noise(section.noise)}"
    yield ""
    yield from filter(None, [tables.disturbed(report)])
    if (targets := tables.of_targets(report)).rows:
        yield "Targets"
        yield from _table(targets)


def _table(table: Table) -> Iterator[str]:
    """Columns as wide as their widest cell; the first one begins, the others end in line."""
    if not table.rows:
        return
    lines = [table.head, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    for line in lines:
        cells = [
            cell.rjust(width) if column > 0 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
