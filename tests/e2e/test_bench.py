"""The benchmark as it is called, with so few rounds that its figures say nothing: no time is asserted."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec
import pytest

from bench.measures import calls
from bench.results import Figure, Report

ROOT = Path(__file__).parents[2]
SYSTEMS = {"raw-stock", "raw-launcher", "kernelwire"}
POLLED = "kernelwire-polled"
ONLY = [word for name in sorted({*SYSTEMS, POLLED}) for word in ("--system", name)]
MEASURES = ("evaluate", "inspect", "evaluate-row", "complete-live", "cpu", "flushed", "idle", "polls")
SHORT = ["--rounds", "2", "--lines", "50", "--sessions", "20", *ONLY]
DEADLINE_S = 90
STOP_S = 50


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the benchmark keeps everything; short, for sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="t-") as name:
        yield Path(name)


@contextlib.contextmanager
def bench(temporary: Path, *options: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *options],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def left_behind(temporary: Path) -> list[str]:
    """Files in the temporary directory, and processes that were started with a path in it."""
    files = [path.name for path in temporary.iterdir() if path.name.startswith("kwb-")]
    commands: list[str] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = entry.read_bytes().decode(errors="replace").replace("\0", " ")
            if str(temporary) in command:
                commands.append(command)
    return files + commands


def test_every_figure_is_there(temporary: Path) -> None:
    found = temporary / "found.json"
    with bench(temporary, *MEASURES, *SHORT, "--json", str(found)) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    report = msgspec.json.decode(found.read_bytes(), type=Report)
    assert report.quick
    assert [section.measure for section in report.sections] == list(MEASURES)
    assert not any(section.missing for section in report.sections)
    for measure in ("evaluate", "inspect", "complete-live"):
        figures = _figures(report, measure)
        assert {(one.system, one.quantity, one.count) for one in figures} == {(name, "time", 2) for name in SYSTEMS}
    assert {one.count for one in _figures(report, "evaluate-row")} == {2 * calls.ROW}
    assert {one.quantity for one in _figures(report, "cpu")} == {"server CPU", "kernel CPU"}
    lost = {one.system: (one.value, one.unit) for one in _figures(report, "flushed") if one.quantity == "lost"}
    assert lost == dict.fromkeys(SYSTEMS, (0, "of 50 lines"))
    polls = {one.quantity: one.value for one in _figures(report, "polls")}
    assert (polls["held"], polls["woken, of 1"]) == (20, 1)
    assert all(one.value > 0 for one in _figures(report, "idle"))
    assert set(report.systems) == {*SYSTEMS, POLLED}
    assert all(f"\n  {system} " in out for system in SYSTEMS)
    assert "evaluate `1+1`, against raw 0MQ on our launcher" in out
    assert left_behind(temporary) == []


def _figures(report: Report, measure: str) -> list[Figure]:
    section = report.section(measure)
    assert section is not None
    return section.figures


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["starting kernelwire", "measuring evaluate"])
def test_interrupted_it_leaves_nothing_behind(temporary: Path, number: signal.Signals, moment: str) -> None:
    with bench(temporary, "evaluate", "--rounds", "10000", *ONLY) as process:
        assert process.stderr is not None
        while f"bench: {moment}" not in process.stderr.readline():
            assert process.poll() is None
        assert left_behind(temporary)
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert "interrupted" in err
    assert out == ""
    assert left_behind(temporary) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rounds", "0"], "expected 1 to 10000"),
        (["evaluation"], "no measure evaluation: there are evaluate, inspect"),
        (["--keep", "--quick"], "what is kept is measured in full"),
        (["--system", "raw"], "invalid choice: 'raw'"),
    ],
)
def test_wrong_usage_is_told(temporary: Path, options: list[str], words: str) -> None:
    with bench(temporary, *options) as process:
        _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert words in err
    assert left_behind(temporary) == []
