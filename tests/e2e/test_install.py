"""`pip install .` into an empty environment, and the service run from it by an ordinary user."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service

ROOT = Path(__file__).parents[2]
NOBODY = 65534
# An interpreter that every user of the machine can run; the one of the tests may lie in somebody's home
SYSTEM_PYTHON = "/usr/bin/python3"


def _run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def _python() -> str:
    """For the new environment. Skips where no interpreter can make one."""
    for python in (SYSTEM_PYTHON, sys.executable):
        words = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
        if Path(python).exists() and subprocess.run([python, "-c", words], check=False, timeout=30).returncode == 0:
            return python
    pytest.skip("no Python >= 3.11 with ensurepip (Debian: package python3-venv)")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user can enter, removed after the tests."""
    path = Path(tempfile.mkdtemp(prefix="kernelwire-install-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def installed(place: Path) -> Path:
    """`kernelwire` of a new environment, installed from a copy of what is in the repository."""
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("kernelwire", "rpc", "kernel_bridge", "auth", "openapi"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    _run(_python(), "-m", "venv", place / "venv")
    _run(place / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", source)
    return place / "venv/bin/kernelwire"


@pytest.mark.timeout(300)
def test_an_ordinary_user_runs_the_installed_service(installed: Path, place: Path) -> None:
    home = place / "home"
    home.mkdir(mode=0o700)
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("no setpriv to become an ordinary user (Debian: package util-linux)")
        os.chown(home, NOBODY, NOBODY)
        prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        if subprocess.run([*prefix, installed, "--version"], check=False, capture_output=True).returncode != 0:
            pytest.skip(f"user {NOBODY} cannot run {installed}")
    service = Service.start(home / ".local/state/kernelwire", prefix=prefix, program=str(installed), home=home)
    try:
        text = service.output.wait_for('"evaluate"', 10)
        lines = "\n".join(line for line in text.splitlines() if "curl" in line)
        done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=60, check=True)
        assert json.loads(done.stdout)["result"]["text"] == "42"
        owners = {Path(f"/proc/{process.pid}").stat().st_uid for process in service.kernels()}
        assert owners == {NOBODY if prefix else os.geteuid()}
        service.stop()
    finally:
        service.abandon()
