"""What root gives to the user that the service runs as, and what stays whose it is."""

import os
import socket
from pathlib import Path

import pytest

from kernel_bridge.host_lock import HostLock
from kernelwire import ownership, state_names
from kernelwire.credentials import Identity
from kernelwire.errors import CannotServe
from kernelwire.service_user import DEFAULT, ServiceUser

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
OF_SESSION = DEFAULT + 77
USER = ServiceUser(Identity(DEFAULT, DEFAULT))
OTHER = ServiceUser(Identity(1234, 1234), explicit=True)
ROOT = ServiceUser(as_root="serve.user is root", explicit=True)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory of root's, with everything that can be in one."""
    path = tmp_path / "state"
    (path / "sessions/one").mkdir(parents=True, mode=0o700)
    (path / "kernels/k").mkdir(parents=True)
    (path / "workdirs/w/deep").mkdir(parents=True)
    path.chmod(0o700)
    for name in ("secret", "host-id", "kernelwire.db", "kernelwire.db-wal", "audit.jsonl.1", "sessions/one/log"):
        (path / name).write_text("x")
    return path


def _hand(path: Path, user: ServiceUser) -> list[Identity]:
    """Those whose kernels were ended."""
    ended: list[Identity] = []
    ownership.hand_over(path, user, ended.append)
    return ended


def _owners(path: Path) -> dict[str, int]:
    found = {".": path.lstat().st_uid}
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            one = Path(folder) / name
            found[str(one.relative_to(path))] = one.lstat().st_uid
    return found


def test_all_of_roots_is_given_and_taken_back(state: Path) -> None:
    assert _hand(state, USER) == [Identity(0, 0)]
    assert set(_owners(state).values()) == {DEFAULT}
    assert _hand(state, USER) == []
    assert _hand(state, ROOT) == [Identity(DEFAULT, DEFAULT)]
    assert set(_owners(state).values()) == {0}


def test_a_new_directory_is_made_for_the_user(tmp_path: Path) -> None:
    path = tmp_path / "new/way/state"
    before = os.umask(0o077)
    try:
        assert _hand(path, USER) == []
        assert _hand(tmp_path / "root's/state", ROOT) == []
    finally:
        os.umask(before)
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (DEFAULT, 0o700)
    for above in (path.parent, path.parent.parent):
        assert (above.stat().st_uid, above.stat().st_mode & 0o777) == (0, 0o755), "its user has to pass them"
    assert (tmp_path / "root's").stat().st_mode & 0o777 == 0o700, "nobody else has to"


def test_what_is_left_as_it_is(state: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("root's")
    os.link(outside / "file", state / "workdirs/w/linked")
    os.link(outside / "file", state / "client.json")
    (state / "workdirs/w/link").symlink_to(outside)
    (state / "home").symlink_to(outside)
    (state / "serve.json").symlink_to(outside / "file")
    (state / "config.toml").write_text("")
    (state / "workdirs/of-session").mkdir()
    os.chown(state / "workdirs/of-session", OF_SESSION, OF_SESSION)
    _hand(state, USER)
    found = _owners(state)
    assert {found[name] for name in ("workdirs/w/linked", "client.json", "config.toml")} == {0}
    assert found["workdirs/of-session"] == OF_SESSION
    assert found["workdirs/w/deep"] == DEFAULT
    assert set(_owners(outside).values()) == {0}


def test_what_a_command_of_roots_has_left_is_given_at_the_next_start(state: Path) -> None:
    _hand(state, USER)
    (state / "client.json").write_text("{}")
    assert _hand(state, USER) == []
    assert set(_owners(state).values()) == {DEFAULT}


def test_what_was_cut_short_is_done_again(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.chown

    def failing(path: str, *arguments: int) -> None:
        if os.stat(path).st_ino == (state / "kernelwire.db").stat().st_ino:  # noqa: PTH116
            raise OSError("cut short")
        real(path, *arguments)

    monkeypatch.setattr(os, "chown", failing)
    with pytest.raises(OSError, match="cut short"):
        _hand(state, USER)
    assert state.stat().st_uid == 0
    monkeypatch.setattr(os, "chown", real)
    _hand(state, USER)
    assert set(_owners(state).values()) == {DEFAULT}


@pytest.mark.parametrize("name", ["serve.lock", "host.lock"])
def test_not_while_somebody_works_on_it(state: Path, name: str) -> None:
    lock = HostLock(state / name)
    assert lock.acquire()
    with pytest.raises(CannotServe, match=r"belongs to user 0, .*serve.user = 0"):
        _hand(state, USER)
    assert set(_owners(state).values()) == {0}
    lock.release()
    _hand(state, USER)


def test_a_third_users_directory_is_taken_only_if_asked_for(state: Path) -> None:
    _hand(state, OTHER)
    with pytest.raises(CannotServe, match=r"belongs to user 1234: name it by serve\.user"):
        _hand(state, USER)
    with pytest.raises(CannotServe, match="belongs to user 1234"):
        _hand(state, ServiceUser(as_root="something is closed"))
    assert set(_owners(state).values()) == {1234}
    _hand(state, ROOT)
    assert set(_owners(state).values()) == {0}


def test_a_link_is_left_to_whoever_refuses_it(state: Path) -> None:
    link = state.parent / "link"
    link.symlink_to(state)
    assert _hand(link, USER) == []
    assert set(_owners(state).values()) == {0}


def test_the_directory_of_sockets_goes_along(state: Path, tmp_path: Path) -> None:
    sockets = tmp_path / "kw-0123abcd"
    (sockets / "kernel").mkdir(parents=True)
    foreign = tmp_path / "kw-4567cdef"
    foreign.mkdir()
    os.chown(foreign, OF_SESSION, OF_SESSION)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(sockets / "host"))
    (state / "runtime").write_text(str(sockets))
    _hand(state, USER)
    assert set(_owners(sockets).values()) == {DEFAULT}
    (state / "runtime").write_text(str(foreign))
    _hand(state, ROOT)
    assert set(_owners(foreign).values()) == {OF_SESSION}
    (state / "runtime").write_text(str(tmp_path))
    _hand(state, USER)
    assert tmp_path.stat().st_uid == 0, "it is no directory of sockets"


def test_home_of_a_number(tmp_path: Path) -> None:
    ownership.make_home(tmp_path, USER)
    ownership.make_home(tmp_path, USER)
    assert (tmp_path / state_names.HOME).stat().st_mode & 0o777 == 0o700
    other = tmp_path / "other"
    other.mkdir()
    ownership.make_home(other, ServiceUser(Identity(1, 1), home="/nowhere"))
    assert not [*other.iterdir()]
