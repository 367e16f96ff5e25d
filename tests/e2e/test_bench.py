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

from bench.results import Report

ROOT = Path(__file__).parents[2]
SYSTEMS = {"raw-stock", "raw-launcher", "kernelwire"}
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


def test_every_row_is_there(temporary: Path) -> None:
    found = temporary / "found.json"
    with bench(temporary, "--rounds", "2", "--lines", "50", "--json", str(found)) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    report = msgspec.json.decode(found.read_bytes(), type=Report)
    assert {(row.operation, row.system, row.times.count) for row in report.latency} == {
        (operation, system, 2) for operation in ("evaluate", "inspect", "complete") for system in SYSTEMS
    }
    for row in report.latency:
        assert (row.to_stock == 1.0) == (row.system == "raw-stock")
        assert (row.to_launcher == 1.0) == (row.system == "raw-launcher")
    assert {row.system: row.evaluations for row in report.cpu} == dict.fromkeys(SYSTEMS, 2)
    assert {row.system: (row.lines, row.lost, row.in_order) for row in report.flood} == dict.fromkeys(
        SYSTEMS, (50, 0, True)
    )
    assert report.noise is not None
    assert set(report.systems) == SYSTEMS
    assert all(f"\n  evaluate   {system} " in out for system in SYSTEMS)
    assert left_behind(temporary) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["starting kernelwire", "measuring"])
def test_interrupted_it_leaves_nothing_behind(temporary: Path, number: signal.Signals, moment: str) -> None:
    with bench(temporary, "--rounds", "10000", "--only", "evaluate") as process:
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


def test_wrong_usage_is_told(temporary: Path) -> None:
    with bench(temporary, "--rounds", "0") as process:
        _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "expected 1 to 10000" in err
    assert left_behind(temporary) == []
