"""A run's report as text for a terminal."""

from collections.abc import Iterator, Sequence

from bench.results import Report


def render(report: Report) -> str:
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    yield f"{versions}; {report.machine}, {report.cpus} CPUs"
    yield f"{report.rounds} rounds, seed {report.seed}, {report.took_s:.0f} s"
    yield from (f"  {name:<13} {about}" for name, about in report.systems.items())
    if report.latency:
        yield from _latency(report)
    if report.cpu:
        yield from _section("CPU seconds for 1,000 evaluations (server: front and host)")
        rows = [[row.system, f"{row.server_s:.2f}", f"{row.kernel_s:.2f}", str(row.evaluations)] for row in report.cpu]
        yield from _table(["system", "server", "kernel", "measured over"], rows)
    if report.flood:
        yield from _flood(report)


def _latency(report: Report) -> Iterator[str]:
    yield from _section("Latency in ms; x: ratio of medians")
    rows = [
        [
            row.operation,
            row.system,
            f"{row.times.median_ms:.2f}",
            f"{row.times.p95_ms:.2f}",
            f"{row.times.iqr_ms:.2f}",
            _times(row.to_stock),
            _times(row.to_launcher),
        ]
        for row in report.latency
    ]
    yield from _table(["operation", "system", "median", "p95", "IQR", "x raw-stock", "x raw-launcher"], rows, left=2)
    if report.noise is not None:
        noise = report.noise
        yield (
            f"  noise: a busy loop of {noise.median_ms:.2f} ms has p95 {noise.p95_ms / noise.median_ms:.2f} x its "
            f"median, IQR {100 * noise.iqr_ms / noise.median_ms:.0f} %"
        )


def _flood(report: Report) -> Iterator[str]:
    yield from _section(f"{report.flood[0].lines:,} flushed prints, received while they are printed")
    rows = [
        [
            row.system,
            str(row.lost),
            "yes" if row.in_order else "NO",
            str(row.messages),
            f"{row.wall_s:.2f}",
            f"{row.server_cpu_s:.2f}",
            f"{row.kernel_cpu_s:.2f}",
        ]
        for row in report.flood
    ]
    yield from _table(["system", "lost", "in order", "messages", "wall s", "server CPU s", "kernel CPU s"], rows)


def _section(title: str) -> Iterator[str]:
    yield ""
    yield title


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    """Columns as wide as their widest cell; the first `left` ones begin, the others end in line."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    for row in [heads, *rows]:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
