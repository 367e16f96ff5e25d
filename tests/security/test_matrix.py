"""Every attack of the matrix on two live sessions, as whoever runs the tests and as an ordinary user.

Each must get through without the sandbox, or it would show nothing, and must not with it. The machine has to have the
layers of layers.txt where CI is true; elsewhere what it does not have is skipped, with its reason.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge.sandbox.probe import probe
from tests.e2e.installation import NOBODY, ROOT, install
from tests.security.attacks import ATTACKS

STAGE_S = 150
NEEDED = [line for line in (Path(__file__).with_name("layers.txt")).read_text().splitlines() if line[:1] not in "#"]

pytestmark = pytest.mark.timeout(400)


class Stand:
    """Whoever attacks. `run` is one run of the stage, cached."""

    def __init__(self, place: Path, command: list[str], env: dict[str, str], *, root: bool) -> None:
        self.root = root
        self._place = place
        self._command = command
        self._env = env
        self.run = functools.cache(self._run)

    def _run(self, profile: str, level: str) -> dict[str, dict[str, Any]]:
        directory = self._place / f"{profile}-{level}"
        command = [*self._command, "-m", "tests.security.stage", str(directory), profile, level]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=STAGE_S, check=False, env=self._env, cwd=self._place
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user can enter."""
    path = Path(tempfile.mkdtemp(prefix="kernelwire-security-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module", params=["whoever runs this", "an ordinary user"])
def stand(request: pytest.FixtureRequest, place: Path) -> Stand:
    env = {name: text for name, text in os.environ.items() if not name.startswith(("KERNELWIRE_", "PYTEST_"))}
    env["PYTHONPATH"] = str(ROOT)
    if request.param == "whoever runs this":
        return Stand(_folder(place, "self"), [sys.executable], env, root=os.geteuid() == 0)
    if os.geteuid() != 0:
        pytest.skip("who runs this is an ordinary user already")
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv to become an ordinary user (Debian: package util-linux)")
    python = install(place) / "python"
    for name in ("tests/security", "tests/kernel"):
        (place / name).mkdir(parents=True)
    for name in ("tests/security/attacks.py", "tests/security/stage.py", "tests/kernel/house.py"):
        shutil.copy(ROOT / name, place / name)
    home = _folder(place, "user")
    for path in (home, place / "venv"):
        _give(path)
    env |= {"PYTHONPATH": str(place), "HOME": str(home), "PATH": "/usr/bin:/bin"}
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return Stand(home, [*prefix, str(python)], env, root=False)


def _folder(place: Path, name: str) -> Path:
    made = place / name
    made.mkdir(mode=0o700)
    return made


def _give(path: Path) -> None:
    """To the ordinary user, so that only a sandbox keeps it from there."""
    os.chown(path, NOBODY, NOBODY)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, NOBODY, NOBODY, follow_symlinks=False)


def _need(*layers: str) -> None:
    for layer in probe().missing:
        if layer.name in layers:
            message = f"this machine has no {layer.name}: {layer.words}"
            if os.environ.get("CI") == "true" and layer.name in NEEDED:
                pytest.fail(message)
            pytest.skip(message)


@pytest.mark.parametrize("name", NEEDED)
def test_the_machine_has_the_layer(name: str) -> None:
    _need(name)


def test_every_attack_gets_through_without_a_sandbox(stand: Stand) -> None:
    found = stand.run("none", "namespaces")
    failed = {one.name: found[one.name]["words"] for one in ATTACKS if not found[one.name]["through"]}
    assert set(failed) <= {one.name for one in ATTACKS if one.root and not stand.root}, failed


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_attack_gets_through_the_sandbox(stand: Stand, attack: Any) -> None:
    _need("namespaces", "landlock", "seccomp")
    said = stand.run("strict", "namespaces")
    assert not said[attack.name]["through"], said[attack.name]
    assert said["the victim works on"]["through"]


def test_what_gets_through_where_there_are_no_namespaces_is_what_the_documents_say(stand: Stand) -> None:
    _need("landlock", "seccomp")
    found = stand.run("strict", "landlock")
    through = {one.name for one in ATTACKS if found[one.name]["through"]}
    assert through == {one.name for one in ATTACKS if one.through_landlock}
    text = (ROOT / "docs" / "security.md").read_text()
    for one in ATTACKS:
        assert f"| {one.name} |" in text, f"docs/security.md has no line for: {one.name}"
