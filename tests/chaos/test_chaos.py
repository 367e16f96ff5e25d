"""A short chaos run with the real processes: every fault once. `make chaos` is the long one."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.results import Report, Row

BOUND_S = 400.0
"""half a minute on a quiet machine"""
STOP_S = 60.0
Found = dict[str, tuple[Row, list[str]]]
NAMES = [fault.name for fault in FAULTS]
pytestmark = pytest.mark.timeout(BOUND_S + 2 * STOP_S)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the run found, by fault. In a process of its own: it may have to mount a small disk."""
    file = tmp_path_factory.mktemp("chaos") / "found.json"
    command = [sys.executable, "-W", "error", "-m", "tests.chaos", "--rounds", "1", "--json", str(file)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = process.communicate(timeout=BOUND_S)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # so that it ends what it started
            process.communicate(timeout=STOP_S)
    assert process.returncode in (0, 1), output.decode()
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    return {
        row.fault: (row, [breach.words for breach in report.breaches if breach.fault == row.fault])
        for row in report.rows
    }


@pytest.mark.parametrize("fault", [*NAMES, "stop"])
def test_no_promise_is_broken(found: Found, fault: str) -> None:
    row, breaches = found[fault]
    if row.skipped is not None:
        pytest.skip(row.skipped)
    assert breaches == []
    assert row.rounds > 0
