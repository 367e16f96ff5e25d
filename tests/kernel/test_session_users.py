"""Sessions with users of their own, on hosts that are root, or an ordinary user with the capabilities for it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import NOBODY, ROOT
from tests.kernel.users_stage import OF_ORDINARY_USERS, SCENARIOS

STAGE_S = 150
CAPABILITIES = "-all,+chown,+dac_override,+kill,+setgid,+setuid"
"""privileges.NEEDED"""
AS_ORDINARY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *(f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}"),
]
FILES = ("kernel/users_stage.py", "kernel/house.py", "kernel/real_host.py", "e2e/processes.py")

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, and setpriv"),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user can enter, with what the stage needs."""
    path = Path(tempfile.mkdtemp(prefix="kernelwire-users-"))
    path.chmod(0o755)
    try:
        for name in FILES:
            (path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "tests" / name, path / "tests" / name)
        yield path
    finally:
        shutil.rmtree(path)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("who", ["root", "an ordinary user"])
def test_sessions_with_users(installed: Path, place: Path, who: str, scenario: str) -> None:
    if who == "root" and scenario in OF_ORDINARY_USERS:
        pytest.skip("of ordinary users only")
    home = place / who.replace(" ", "-")
    home.mkdir(mode=0o711, exist_ok=True)
    if who != "root":
        os.chown(home, NOBODY, NOBODY)
    env = {"PYTHONPATH": str(place), "HOME": str(home), "PATH": "/usr/bin:/bin"}
    command = [str(installed / "python"), "-m", "tests.kernel.users_stage", str(home / scenario.replace(" ", "-"))]
    prefix = [] if who == "root" else AS_ORDINARY
    done = subprocess.run(
        [*prefix, *command, scenario], capture_output=True, text=True, timeout=STAGE_S, check=False, env=env, cwd=home
    )
    assert done.returncode == 0, done.stderr[-4000:]
