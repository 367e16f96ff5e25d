"""Runs full_disk_cases.py where a small file system can be mounted, and is gone with the processes that see it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("full_disk_cases.py")
CASE_S = 45
ALL_S = 115


def namespace() -> list[str]:
    """The beginning of a command that runs in a mount namespace of its own, where it may mount."""
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.mark.timeout(ALL_S + 20)
def test_a_full_disk(tmp_path: Path) -> None:
    """Skipped where the machine refuses such a namespace."""
    try:
        probe = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(tmp_path)]
        refused = subprocess.run([*namespace(), *probe], capture_output=True, text=True, timeout=20).stderr.strip()
    except FileNotFoundError as missing:
        refused = str(missing)
    if refused:
        pytest.skip(f"no small file system: {refused}")
    options = ["-q", f"--timeout={CASE_S}", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'cases'}"]
    command = [*namespace(), sys.executable, "-m", "pytest", *options, str(CASES)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=ALL_S, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
