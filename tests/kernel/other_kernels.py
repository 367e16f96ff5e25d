"""Kernels other than ours, installed for one test: their kernelspecs lie in a directory of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ECHO = Path(__file__).with_name("echo_kernel.py")
INSTALL_S = 60.0


def install_bash(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bash_kernel, as its own installer does it."""
    command = [sys.executable, "-m", "bash_kernel.install", "--prefix", str(root)]
    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S)
    monkeypatch.setenv("JUPYTER_PATH", str(root / "share" / "jupyter"))


def install_echo(root: Path, monkeypatch: pytest.MonkeyPatch, **members: Any) -> None:
    """The kernel of echo_kernel.py, which is interrupted by message unless `members` of kernel.json say otherwise."""
    spec = {
        "argv": [sys.executable, str(ECHO), "{connection_file}"],
        "display_name": "Echo",
        "language": "echo",
        "interrupt_mode": "message",
        **members,
    }
    place = root / "kernels" / "echo"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(root))


def install_stock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ipykernel as it is, without our launcher, under the name `stock`."""
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Stock",
        "language": "python",
        "metadata": {"kernelwire": {"launcher": False}},
    }
    place = root / "kernels" / "stock"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(root))
