"""Every attack of the matrix on two live sessions, as whoever runs the tests and as an ordinary user; and, as root and
as an ordinary user with the capabilities for it, where each session has a user of its own.

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
from tests.e2e.installation import NOBODY, ROOT
from tests.security.attacks import ATTACKS

STAGE_S = 150
NEEDED = [line for line in (Path(__file__).with_name("layers.txt")).read_text().splitlines() if line[:1] not in "#"]

AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
CAPABILITIES = "-all,+chown,+dac_override,+kill,+setgid,+setuid"
"""privileges.NEEDED"""

pytestmark = pytest.mark.timeout(400)


class Stand:
    """Whoever attacks. `run` is one run of the stage, cached."""

    def __init__(
        self, place: Path, command: list[str], env: dict[str, str], *, root: bool, users: bool = False
    ) -> None:
        self.root = root
        self._users = ["users"] if users else []
        self._place = place
        self._command = command
        self._env = env
        self.run = functools.cache(self._run)

    def _run(self, profile: str, level: str) -> dict[str, dict[str, Any]]:
        directory = self._place / f"{profile}-{level}"
        command = [*self._command, "-m", "tests.security.stage", str(directory), profile, level, *self._users]
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
    if request.param == "whoever runs this":
        env = _environment() | {"PYTHONPATH": str(ROOT)}
        return Stand(_folder(place, "self"), [sys.executable], env, root=os.geteuid() == 0)
    python: Path = request.getfixturevalue("python")
    home = _folder(place, "user")
    _give(home)
    return Stand(home, [*AS_NOBODY, str(python)], _environment(place, home), root=False)


@pytest.fixture(scope="module", params=["root", "an ordinary user with capabilities"])
def stand_with_users(request: pytest.FixtureRequest, place: Path, python: Path) -> Stand:
    """As `stand`, where each session has a user of its own."""
    root = request.param == "root"
    home = _folder(place, "host-of-root" if root else "host-of-user")
    home.chmod(0o711)
    if not root:
        _give(home)
    prefix = [] if root else [*AS_NOBODY, f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}"]
    return Stand(home, [*prefix, str(python)], _environment(place, home), root=root, users=True)


@pytest.fixture(scope="module")
def python(installed: Path, place: Path) -> Path:
    """An interpreter that every user can run, with the service and what the stage needs; it is the ordinary user's, so
    that only a sandbox keeps it from there."""
    if os.geteuid() != 0:
        pytest.skip("who runs this is an ordinary user already")
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv to become an ordinary user (Debian: package util-linux)")
    venv = place / "venv"
    shutil.copytree(installed.parent, venv, symlinks=True)
    for name in ("tests/security", "tests/kernel"):
        (place / name).mkdir(parents=True)
    for name in ("tests/security/attacks.py", "tests/security/stage.py", "tests/kernel/house.py"):
        shutil.copy(ROOT / name, place / name)
    _give(venv)
    return venv / "bin/python"


def _environment(place: Path | None = None, home: Path | None = None) -> dict[str, str]:
    env = {name: text for name, text in os.environ.items() if not name.startswith(("KERNELWIRE_", "PYTEST_"))}
    return env | ({"PYTHONPATH": str(place), "HOME": str(home), "PATH": "/usr/bin:/bin"} if place is not None else {})


def _folder(place: Path, name: str) -> Path:
    made = place / name
    made.mkdir(mode=0o700)
    return made


def _give(path: Path) -> None:
    """To the ordinary user."""
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


def test_what_a_user_of_its_own_stops_alone(stand_with_users: Stand) -> None:
    found = stand_with_users.run("none", "namespaces")
    assert {one.name for one in ATTACKS if found[one.name]["through"]} == {
        one.name for one in ATTACKS if one.through_user
    }
    assert found["the victim works on"]["through"]


def test_no_attack_gets_through_the_sandbox_of_a_user_of_its_own(stand_with_users: Stand) -> None:
    _need("namespaces", "landlock", "seccomp")
    found = stand_with_users.run("strict", "namespaces")
    assert [name for name in found if found[name]["through"]] == ["the victim works on"]


def test_a_user_of_its_own_closes_what_is_open_without_namespaces(stand_with_users: Stand) -> None:
    _need("landlock", "seccomp")
    found = stand_with_users.run("strict", "landlock")
    through = {one.name for one in ATTACKS if found[one.name]["through"]}
    assert through == {one.name for one in ATTACKS if one.through_landlock and one.through_user}
