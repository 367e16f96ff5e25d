"""`pip install .` into an empty environment, and the service run from it by an ordinary user."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import NOBODY
from tests.e2e.service import Service


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user can enter, removed after the tests."""
    path = Path(tempfile.mkdtemp(prefix="kernelwire-install-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.timeout(300)
def test_an_ordinary_user_runs_the_installed_service(installed: Path, place: Path) -> None:
    program = installed / "kernelwire"
    home = place / "home"
    home.mkdir(mode=0o700)
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("no setpriv to become an ordinary user (Debian: package util-linux)")
        os.chown(home, NOBODY, NOBODY)
        prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        if subprocess.run([*prefix, program, "--version"], check=False, capture_output=True).returncode != 0:
            pytest.skip(f"user {NOBODY} cannot run {program}")
    service = Service.start(home / ".local/state/kernelwire", prefix=prefix, program=str(program), home=home)
    try:
        text = service.output.wait_for('"evaluate"', 10)
        lines = "\n".join(line for line in text.splitlines() if "curl" in line)
        done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=60, check=True)
        assert json.loads(done.stdout)["result"]["text"] == "42"
        # Not the owner of its folder: that is root where a process is not dumpable, see proc(5).
        kernels = [Path(f"/proc/{process.pid}/status").read_text() for process in service.kernels()]
        owners = {text.partition("\nUid:")[2].split()[0] for text in kernels}
        assert owners == {str(NOBODY if prefix else os.geteuid())}
        service.stop()
    finally:
        service.abandon()
