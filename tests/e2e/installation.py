"""An installation of this repository that every user of the machine can run, for the tests that need one."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534
# An interpreter that every user of the machine can run; the one of the tests may lie in somebody's home
SYSTEM_PYTHON = "/usr/bin/python3"


def install(place: Path) -> Path:
    """The bin folder of a new environment in `place`, installed from a copy of what is in the repository."""
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("kernelwire", "rpc", "kernel_bridge", "auth", "openapi"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    _run(_python(), "-m", "venv", place / "venv")
    _run(place / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", source)
    # by us, in a few seconds, or each process of a user who cannot write there compiles for itself; pip takes its time
    # for it, and tests of libraries are not all Python of today: what cannot be compiled is left
    compiling = [place / "venv/bin/python", "-m", "compileall", "-qq", "-j", "2", "-x", r"/(tests|pip|setuptools)/"]
    subprocess.run([*map(str, compiling), str(place / "venv/lib")], timeout=110, check=False)
    return place / "venv/bin"


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
