"""The charts of docs/performance.md: latency, CPU and memory over the number of sessions, as SVG by matplotlib."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Canvas

from bench.measures import scaling
from bench.results import Figure, Section

SIZE_IN = (9.0, 3.6)
STYLE = {
    "svg.hashsalt": "kernelwire",  # the same figures give the same file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
}
_library: Any = matplotlib
"""whose types leave much unknown"""
COLOURS = ("#0b6e99", "#d9730d", "#6b6b6b", "#448361")


@dataclass(frozen=True, slots=True)
class Panel:
    """One of a chart's two diagrams."""

    title: str
    quantity: str
    unit: str
    p95: bool = False
    """whether the 95th percentile is drawn too, dashed"""


CHARTS: dict[str, tuple[Panel, Panel]] = {
    "latency": (
        Panel("One session evaluates, the others are idle", "one of them alone", "ms"),
        Panel("All sessions in a closed loop (dashed: p95)", "time", "ms", p95=True),
    ),
    "cpu": (
        Panel("CPU of the servers, closed loop", "server CPU", "ms an evaluation"),
        Panel("Evaluations, closed loop", "evaluations", "a second"),
    ),
    "memory": (
        Panel("PSS of all servers together, fork server included", scaling.BESIDE, "MiB"),
        Panel("PSS of a session: its kernel, and shim", scaling.EACH, "MiB"),
    ),
}


def draw(section: Section) -> dict[str, str]:
    """The charts of a section that varies the number of sessions: SVG by name."""
    with _library.rc_context(STYLE):
        return {name: _chart(section.figures, panels) for name, panels in CHARTS.items()}


def _chart(figures: Sequence[Figure], panels: tuple[Panel, Panel]) -> str:
    canvas: Any = Canvas(figsize=SIZE_IN, layout="constrained")
    for number, panel in enumerate(panels, start=1):
        _draw(canvas.add_subplot(1, 2, number), figures, panel)
    text = io.StringIO()
    canvas.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _draw(axes: Any, figures: Sequence[Figure], panel: Panel) -> None:
    steps: set[int] = set()
    for colour, system in zip(COLOURS, dict.fromkeys(figure.system for figure in figures), strict=False):
        points = [one for one in figures if (one.system, one.quantity) == (system, panel.quantity)]
        numbers = [one.sessions or 0 for one in points]
        steps |= set(numbers)
        axes.plot(numbers, [one.value for one in points], "o-", color=colour, label=system, markersize=4)
        if panel.p95:
            axes.plot(numbers, [one.p95 or 0 for one in points], "o--", color=colour, markersize=3)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(steps), [str(step) for step in sorted(steps)])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("sessions")
    axes.set_ylabel(panel.unit)
    axes.set_title(panel.title, fontsize=9)
    axes.legend(frameon=False)
