"""What kernelwire is to reach, and what a report says about it."""

from dataclasses import dataclass

from bench import systems
from bench.measures import arrivals, calls, opening
from bench.results import ALL, Report
from bench.systems import OURS, RAW_LAUNCHER, RAW_STOCK


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of one of kernelwire's systems, as it is or as a multiple of the same one of `base`."""

    about: str
    measure: str
    quantity: str
    limit: float
    unit: str = ""
    """empty for a ratio"""
    system: str = OURS
    base: str | None = None
    base_quantity: str | None = None
    """of `base`, if it is another quantity"""
    at_least: bool = False
    p95: bool = False
    """whether it is about the 95th percentile, not the median"""
    peers: bool = True
    """whether the others have a comparable figure"""

    def value(self, report: Report, system: str) -> float | None:
        """None where it was not measured."""
        section = report.section(self.measure)
        found = section.find(system, self.quantity) if section is not None else None
        if section is None or found is None:
            return None
        if self.base is None:
            return found.p95 if self.p95 else found.value
        base = section.find(self.base, self.base_quantity or self.quantity)
        return found.value / base.value if base is not None and base.value > 0 else None

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def missing(self, report: Report) -> str:
        """Why there is no figure of kernelwire."""
        section = report.section(self.measure)
        if section is None:
            return "not measured"
        return section.missing.get(self.system) or section.missing.get(ALL) or "not there"

    def others(self, report: Report) -> dict[str, float]:
        """The same of the systems that are not ours."""
        section = report.section(self.measure)
        if section is None or not self.peers:
            return {}
        names = list(dict.fromkeys(figure.system for figure in section.figures))
        values = {name: self.value(report, name) for name in names if not _is_ours(name) and name != self.base}
        return {name: value for name, value in values.items() if value is not None}


def _is_ours(name: str) -> bool:
    return name.startswith(OURS) or name == RAW_LAUNCHER


TARGETS: tuple[Target, ...] = (
    Target("evaluate `1+1`, against raw 0MQ on a stock kernel", "evaluate", calls.QUANTITY, 0.85, base=RAW_STOCK),
    Target(
        "evaluate `1+1`, against raw 0MQ on our launcher",
        "evaluate",
        calls.QUANTITY,
        1.4,
        base=RAW_LAUNCHER,
        peers=False,
    ),
    Target("inspect `len`, against raw 0MQ on a stock kernel", "inspect", calls.QUANTITY, 1.3, base=RAW_STOCK),
    Target(
        f"evaluate `1+1`, {calls.ROW} in a row, against raw 0MQ on a stock kernel",
        "evaluate-row",
        calls.QUANTITY,
        0.85,
        base=RAW_STOCK,
    ),
    Target(
        f"evaluate `1+1`, {calls.ROW} in a row, against raw 0MQ on our launcher",
        "evaluate-row",
        calls.QUANTITY,
        1.4,
        base=RAW_LAUNCHER,
        peers=False,
    ),
    Target(
        f"inspect `len`, {calls.ROW} in a row, against raw 0MQ on a stock kernel",
        "inspect-row",
        calls.QUANTITY,
        1.3,
        base=RAW_STOCK,
    ),
    Target("complete a live object, against the same raw call", "complete-live", calls.QUANTITY, 0.06, base=RAW_STOCK),
    Target("complete what needs jedi, against the same raw call", "complete-jedi", calls.QUANTITY, 1.1, base=RAW_STOCK),
    Target("complete while a cell sleeps", "busy", "while sleeping", 50, "ms"),
    Target("complete while a cell computes in Python", "busy", "while computing", 200, "ms"),
    Target("open a session, first result: from the pool", "opening", opening.QUANTITY, 30, "ms", system=systems.POOL),
    Target("open a session, first result: forked", "opening", opening.QUANTITY, 90, "ms", system=systems.FORK),
    Target(
        "open a session, first result: plain launch, against raw 0MQ",
        "opening",
        opening.QUANTITY,
        1.1,
        system=systems.PLAIN,
        base=RAW_STOCK,
    ),
    Target("20 sessions opened at once, all with a first result", "arrivals", arrivals.QUANTITY, 1.0, "s"),
    Target(
        "evaluations a server CPU second, 16 sessions",
        "loops",
        "evaluations a server CPU second",
        1000,
        "/ s",
        at_least=True,
    ),
    Target("16 sessions in a closed loop, p95", "loops", "time", 65, "ms", p95=True),
    Target("PSS a session of 50, kernel and shim: bare", "memory", "a session", 20, "MiB"),
    Target("the same, all in, with the sandbox", "memory", "all in, with the sandbox's init", 24, "MiB", peers=False),
    Target(
        "PSS a session of 50, kernel and shim: scientific",
        "scientific",
        "a session",
        30,
        "MiB",
        system=systems.SCIENTIFIC,
    ),
    Target("PSS of supervisor, front and host, idle", "idle", "idle", 90, "MiB"),
    Target("20,000 flushed prints: lost", "flushed", "lost", 0, "lines"),
    Target("20,000 flushed prints: server CPU", "flushed", "server CPU", 2.0, "s"),
    Target("the same with the host stopped for 4 s in the middle: lost", "stopped", "lost", 0, "lines"),
    Target("20 MB in one write: lost, of 200,000 lines", "written", "lost", 0, "lines"),
    Target("20 MB in one write: time, against raw 0MQ", "written", "wall", 1.6, base=RAW_STOCK),
    Target(
        "idle long polls held by one front",
        "polls",
        "held",
        5000,
        "",
        at_least=True,
        peers=False,
        system=systems.POLLED,
    ),
    Target(
        "evaluate beside them, against without",
        "polls",
        "evaluate, beside the polls",
        1.2,
        base=systems.POLLED,
        system=systems.POLLED,
        base_quantity="evaluate, without polls",
        peers=False,
    ),
)
