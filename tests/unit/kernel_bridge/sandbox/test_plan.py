"""Profiles, as mounts, network and environment."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from kernel_bridge.sandbox import plan as plans
from kernel_bridge.sandbox.plan import Level, Own, Sandbox, Surroundings, plan
from kernel_bridge.sandbox.probe import Layer, Layers
from kernel_bridge.sandbox.sandboxes import is_wanted, profile_of, summary
from kernel_bridge.sandbox.settings import Profile, SandboxSettings


class Ground:
    """A home directory with a service in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / "state"
        self.own = Own(
            workdir=str(self.state / "workdirs/w"),
            sockets=str(self.state / "sockets/k"),
            connection_file=str(self.state / "kernels/k/connection.json"),
            programs=(str(home / "venv"),),
        )
        for name in ("state/workdirs/w", "state/sockets/k", "state/kernels/k", "venv", "code", "shared", "data"):
            (home / name).mkdir(parents=True)
        Path(self.own.connection_file).touch()

    def plan(self, profile: Profile, level: Level = "namespaces", **settings: Any) -> Sandbox:
        around = Surroundings(secret=(str(self.state),), service=(str(self.home / "code"),))
        return plan(level, profile, SandboxSettings(**settings), around, self.own)

    def shown(self, sandbox: Sandbox) -> dict[str, str]:
        """What of the home directory is in it."""
        inside = [mount for mount in sandbox.mounts if mount.path.startswith(str(self.home))]
        return {str(Path(mount.path).relative_to(self.home)): mount.kind for mount in inside}


OWN = {"state/workdirs/w": "rw", "state/sockets/k": "rw", "state/kernels/k/connection.json": "ro", "venv": "ro"}


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    home = tmp_path.resolve() / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    return Ground(home)


def test_profiles(ground: Ground) -> None:
    strict, network, trusted = (ground.plan(profile) for profile in ("strict", "network", "trusted"))
    assert (strict.network, network.network, trusted.network) == (False, True, True)
    assert ground.shown(strict) == ground.shown(network) == OWN
    assert ground.shown(trusted) == OWN | {".": "rw", "state": "hide", "code": "ro"}
    env = {"HOME": "/x", "XDG_CACHE_HOME": "/y", "IPYTHONDIR": "/z", "XDG_RUNTIME_DIR": "/r", "LANG": "C"}
    assert strict.environment(env) == {"HOME": ground.own.workdir, "TMPDIR": "/tmp", "LANG": "C"}
    assert trusted.environment(env) == {
        **{"HOME": str(ground.home), "TMPDIR": "/tmp", "LANG": "C"},
        **{"XDG_CACHE_HOME": "/y", "IPYTHONDIR": "/z"},
    }


def test_mounts_of_the_settings_never_show_the_state(ground: Ground) -> None:
    home, state = str(ground.home), str(ground.state)
    wanted = ground.plan("strict", mounts_ro=[f"{home}/data", f"{state}/workdirs"], mounts_rw=[f"{home}/shared", state])
    assert ground.shown(wanted) == OWN | {"data": "ro", "shared": "rw"}
    assert ground.shown(ground.plan("strict", mounts_ro=[home]))["state"] == "hide"


def test_landlock_leaves_out_what_it_cannot_hide_a_part_of(ground: Ground) -> None:
    trusted = ground.plan("trusted", "landlock", mounts_rw=[str(ground.home)])
    assert ground.shown(trusted) == OWN | {"code": "ro"}
    env = trusted.environment({"HOME": "/x"})
    assert env == {"HOME": ground.own.workdir, "TMPDIR": ground.own.workdir}


def test_another_user_gets_nothing_that_is_closed_to_it(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ground.home
    (home / "link").symlink_to(home / "venv")

    def obstacle(path: Path, _: int) -> str | None:
        return "closed" if path == home / "venv" else None

    monkeypatch.setattr(plans, "obstacle", obstacle)
    programs = (str(home / "link"), str(home / "code"))
    ground.own = structs.replace(ground.own, programs=programs)
    assert ground.shown(ground.plan("strict"))["venv"] == "ro"
    ground.own = structs.replace(ground.own, other_user=True)
    assert ground.shown(ground.plan("strict")) == {name: OWN[name] for name in OWN if name != "venv"} | {"code": "ro"}


def test_users_and_words() -> None:
    settings = SandboxSettings(users={"alice": "network"})
    assert (profile_of(settings, "alice"), profile_of(settings, "bob")) == ("network", "strict")
    has = {"namespaces": True, "landlock": True, "seccomp": True}

    def layers(**there: bool) -> Layers:
        return Layers(tuple(Layer(name, yes, "why") for name, yes in (has | there).items()))

    assert summary(SandboxSettings(), layers()) == "strict; namespaces, landlock, seccomp"
    assert layers(landlock=False).level == "namespaces"
    assert layers(namespaces=False).level == "landlock"
    assert layers(namespaces=False, seccomp=False).level is None
    assert summary(settings, layers(namespaces=False)).startswith(
        "strict, of some users another (alice); no namespaces"
    )
    nothing = layers(namespaces=False, landlock=False)
    assert summary(settings, nothing).startswith("none possible on this machine")
    assert summary(SandboxSettings(profile="none"), nothing) == "none"
    assert not is_wanted(SandboxSettings(profile="none"))
