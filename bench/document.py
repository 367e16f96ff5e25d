"""docs/performance.md and its charts, from a report. No figure of the page is typed by hand. Pure."""

from collections.abc import Iterator

from bench import charts, tables
from bench.measures import BY_NAME
from bench.results import Report, Section
from bench.tables import NONE, Table
from docs.generator.markdown import table

PAGE = "docs/performance.md"
CHARTS = "docs/charts"
WARNING = "<!-- Written by `make bench` from bench/results/latest.json; changes here are lost. -->"

PROFILED = """\
What `python -m bench.profile_call` found: microseconds of CPU that one evaluation of `1+1` costs, one session at a
time. Its way is client, front (HTTP, JSON-RPC, token), hop (0MQ), host (session, queue, log), kernel, and all of it
back; p50 is what the client waits. Nearly all of it is done one after the other, so what a missed target would take is
that much less of these figures."""

METHOD = """\
- All systems of a table run on one machine at the same time, and take turns: a round is one turn of each, in a
  shuffled order. A turn is one call, which finds the caches full of what the others have done, or, where the title
  says so, many calls in a row, as of a client that calls on and on. So whatever disturbs the machine disturbs all of
  them, and ratios say more than times. Between the rounds a loop that always does the same is timed: `noise` below a
  table says how much the machine itself varied.
- Times are medians; `IQR` is the distance of the quartiles. They are taken by blocking clients, of which the one for
  raw 0MQ uses the project's own codec, the cheapest it has: the comparison shows the way and not the client. Answers
  are checked, outside of the time.
- CPU is user and system time of all threads, from /proc/PID/stat: *server* is what stands between client and kernel
  (of kernelwire front and host), apart from the kernels. Memory is PSS, where a page that n processes share counts 1/n
  for each of them.
- Every system has its default settings. kernelwire's limits of sessions and waiting calls a user are raised, as one
  user has them all here. `-nodelay` is a peer with TCP_NODELAY forced on its connections: without it Nagle's algorithm
  and delayed acknowledgements make up most of its time.
- *Lost* counts lines that never came, within 3 s (peers: 6 s) of silence if the end itself was lost. What is stopped
  in the middle of a flood is the reader of the kernel's output: kernelwire's host, a peer's server, the client of raw
  0MQ. A system that answers a completion only after the running cell's end shows about the length of that cell."""


def render(report: Report, profile: str = "") -> dict[str, str]:
    """Texts by path, relative to the root of the project. `profile`: of one evaluation, see profile_call.py."""
    scaling = report.section("scaling")
    drawn = charts.draw(scaling) if scaling is not None and scaling.figures else {}
    files = {f"{CHARTS}/{name}.svg": text for name, text in drawn.items()}
    return files | {PAGE: "\n\n".join(_parts(report, list(drawn), profile)) + "\n"}


def _parts(report: Report, drawn: list[str], profile: str) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    yield WARNING
    yield "# Performance"
    yield (
        f"Measured by `make bench` on {report.begun[:10]}: {report.cpus} CPUs, {report.memory_mib // 1024} GiB, "
        f"{report.machine}; {versions}."
    )
    if sentence := tables.disturbed(report):
        yield f"**{sentence}**"
    yield "## Targets"
    yield _markdown(tables.of_targets(report))
    missed = tables.missed(report)
    if missed:
        yield "Not reached:"
        yield "\n".join(f"- {sentence}" for sentence in missed)
    if profile:
        yield "## Where the time of one evaluation goes"
        yield PROFILED
        yield f"```\n{profile.rstrip()}\n```"
    if drawn:
        yield "## One to many sessions"
        yield "\n".join(f"![{name} over the number of sessions](charts/{name}.svg)" for name in drawn)
    yield "## Systems"
    yield _markdown(Table(["system", "what"], [[name, about] for name, about in report.systems.items()]))
    yield "## Figures"
    order = {name: number for number, name in enumerate(BY_NAME)}
    for section in sorted(report.sections, key=lambda one: order.get(one.measure, len(order))):
        yield from _section(section)
    yield "## Method"
    yield METHOD
    yield "`make bench` writes this page; `python -m bench NAME...` measures a part and prints it, `--help` lists them."


def _section(section: Section) -> Iterator[str]:
    yield f"### {section.title}"
    if section.figures:
        yield _markdown(tables.of_section(section))
    notes = [f"{name}: not measured, {reason}" for name, reason in section.missing.items()]
    notes += [tables.noise(section.noise)] if section.noise is not None else []
    notes.append(
        f"`python -m bench {section.measure}`, {section.took_s:.0f} s on {section.begun}, "
        f"commit {section.source or NONE}; other work before it: {100 * section.other_work:.0f} % of the CPUs"
    )
    yield "\n".join(f"- {note}" for note in notes)


def _markdown(rows: Table) -> str:
    return table(rows.head, rows.rows)
