"""Who a service runs as that root starts; what is in the way is named."""

import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge.privileges import NEEDED
from kernelwire import service_user
from kernelwire.credentials import ROOT, Identity
from kernelwire.errors import CannotServe, Failed
from kernelwire.service_user import DEFAULT, ServiceUser, choose, kept_by_host, obstacle, owner_at_work
from kernelwire.settings import Settings


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def _is_not_5(uid: int) -> bool:
    return uid != 5


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_user, "is_root", _always(True))
    monkeypatch.setattr(service_user, "has", _always(True))
    monkeypatch.setattr(service_user, "is_mapped", _always(True))


@pytest.fixture
def open_machine(as_root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in the way."""
    monkeypatch.setattr(service_user, "obstacle", _always(""))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A state directory that is not there yet, in a folder that is open whatever is above it."""
    tmp_path.chmod(0o755)
    return tmp_path / "state"


@pytest.mark.usefixtures("open_machine")
def test_by_default_a_number_that_nobody_has(place: Path) -> None:
    user = choose("", place)
    assert user.identity == Identity(DEFAULT, DEFAULT)
    assert (user.as_root, user.explicit) == ("", False)


@pytest.mark.usefixtures("open_machine")
@pytest.mark.parametrize("setting", ["daemon", "number"])
def test_an_account(place: Path, setting: str) -> None:
    account = pwd.getpwnam("daemon")
    user = choose(str(account.pw_uid) if setting == "number" else setting, place)
    assert user == ServiceUser(Identity(account.pw_uid, account.pw_gid), "", True, "daemon", account.pw_dir)


@pytest.mark.usefixtures("open_machine")
@pytest.mark.parametrize("setting", ["root", "0"])
def test_root_stays_root_if_it_is_asked_to(place: Path, setting: str) -> None:
    user = choose(setting, place)
    assert (user.identity, user.owner, user.as_root) == (None, ROOT, f"serve.user is {setting}")


@pytest.mark.usefixtures("as_root")
def test_what_is_in_the_way(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_user, "obstacle", _always("/x is closed to user 5"))
    assert choose("", place) == ServiceUser(as_root="/x is closed to user 5")
    with pytest.raises(CannotServe, match=r"serve\.user 5: /x is closed to user 5"):
        choose("5", place)
    with pytest.raises(CannotServe, match="no-such-account: there is no such user"):
        choose("no-such-account", place)


def test_an_ordinary_user_becomes_nobody_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_user, "is_root", _always(False))
    monkeypatch.setattr(os, "geteuid", _always(4711))
    assert choose("", place).identity is None
    assert choose("4711", place) == ServiceUser(explicit=True)
    for setting in ("root", "0", "4712"):
        with pytest.raises(CannotServe, match=f"serve.user {setting}: only root .* this is user 4711"):
            choose(setting, place)


@pytest.mark.usefixtures("as_root")
def test_what_is_closed_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = place.parent / "closed"
    closed.mkdir(mode=0o700)
    me, other = Identity(os.geteuid(), os.getegid()), Identity(DEFAULT, DEFAULT)
    looked_at = [closed / "state", closed / "deep/state"]
    monkeypatch.setattr(service_user, "_allows", _below(place.parent, service_user._allows))  # pyright: ignore[reportPrivateUsage]
    assert obstacle(other, place) == ""
    for path in looked_at:
        assert obstacle(other, path) == f"{closed} is closed to user {DEFAULT}"
        assert obstacle(me, path) == ""
    program = closed / "python"
    program.write_text("")
    link = place.parent / "python"
    link.symlink_to(program)
    monkeypatch.setattr(sys, "executable", str(link))
    assert obstacle(other, place) == f"{closed} is closed to user {DEFAULT}"


def _below(place: Path, allows: Callable[..., bool]) -> Callable[..., bool]:
    """Folders that are not the test's own are open."""

    def allowed(path: Path, *rest: Any) -> bool:
        return not path.is_relative_to(place) or allows(path, *rest)

    return allowed


@pytest.mark.usefixtures("as_root")
def test_other_reasons(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_user, "is_mapped", _is_not_5)
    assert obstacle(Identity(5, 5), place) == "there is no user 5 in this container"
    monkeypatch.setattr(service_user, "has", _always(False))
    assert "lacks the capabilities" in obstacle(Identity(6, 6), place)


@pytest.mark.usefixtures("as_root")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root owns what root would give away")
def test_a_directory_of_other_things_is_not_given_away(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_user, "_allows", _always(True))
    place.mkdir()
    user = Identity(DEFAULT, DEFAULT)
    assert obstacle(user, place) == ""
    (place / "config.toml").write_text("")
    assert obstacle(user, place) == "", "an administrator may have put it there before the first start"
    (place / "mine").mkdir()
    assert f"{place} holds other things" in obstacle(user, place)
    (place / "secret").write_text("")
    assert f"{place} holds other things" in obstacle(user, place), "a start that left it root's does not change that"
    (place / "mine").rmdir()
    (place / "workdirs").mkdir()
    assert obstacle(user, place) == ""
    monkeypatch.setattr(pwd, "getpwall", _always([pwd.struct_passwd(("x", "", 9, 9, "", str(place), ""))]))
    assert f"{place} holds other things" in obstacle(user, place), "somebody lives there"


@pytest.mark.usefixtures("as_root")
def test_commands_say_whose_directory_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_user, "owner_of", _always(None))
    assert owner_at_work(place) is None
    monkeypatch.setattr(service_user, "owner_of", _always(Identity(5, 5)))
    monkeypatch.setattr(service_user, "obstacle", _always(""))
    assert owner_at_work(place) == Identity(5, 5)
    monkeypatch.setattr(service_user, "obstacle", _always("/x is closed to user 5"))
    with pytest.raises(Failed, match="belongs to user 5, who cannot run this kernelwire: /x is closed"):
        owner_at_work(place)


def test_roots_own_directories_are_not_handed_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "SUDO_USER", "MAIL", "USER"):
        monkeypatch.setenv(name, "/of/root")
    monkeypatch.setenv("JUPYTER_PATH", "/opt/jupyter")
    found = ServiceUser(Identity(5, 5), name="kernelwire").environment(place)
    assert "/of/root" not in found.values()
    assert found["HOME"] == str(place / "home")
    assert found["JUPYTER_PATH"] == "/opt/jupyter"
    assert ServiceUser(Identity(5, 5), name="a", home="/srv/a").environment(place)["HOME"] == "/srv/a"
    assert ServiceUser().environment(place)["HOME"] == "/of/root"


def test_the_host_keeps_what_sessions_users_take() -> None:
    settings = Settings()
    expected = NEEDED if getattr(settings.bridge.limits, "uid_base", None) is not None else ()
    assert kept_by_host(settings) == expected
