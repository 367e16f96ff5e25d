"""The directory of the sockets: ours alone, found by name, short."""

import os
from pathlib import Path

import pytest

from kernel_bridge import runtime_dir


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The places where the directory may be lie in the test's own one, which is made to count as short enough. That of
    the system is not there yet."""
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.setattr(runtime_dir, "SOCKET_PATH_BYTES", 4096)
    monkeypatch.setattr(runtime_dir, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(runtime_dir, "LAST_RESORT", tmp_path)
    return path


def test_it_is_made_found_and_removed(state: Path, base: Path) -> None:
    path = runtime_dir.create(state)
    assert path.parent == base
    assert path.stat().st_mode & 0o7777 == 0o700
    assert (state / "runtime").read_text() == str(path)
    assert runtime_dir.find(state) == path
    (path / "k-1").touch()
    assert runtime_dir.create(state) == path, "living kernels have their sockets there"
    runtime_dir.remove(path)
    runtime_dir.remove(path)
    with pytest.raises(FileNotFoundError):
        runtime_dir.find(state)
    assert runtime_dir.create(state) != path


def test_where_other_users_are_to_pass_it_lies_where_they_can_come(state: Path, base: Path, tmp_path: Path) -> None:
    path = runtime_dir.create(state, passable=True)
    assert path.parent == tmp_path, "the session directory is its owner's alone"
    path.chmod(runtime_dir.PASSABLE)
    assert runtime_dir.find(state) == path
    path.chmod(0o755)
    with pytest.raises(PermissionError, match="0755"):
        runtime_dir.find(state)


@pytest.mark.parametrize("passable", [False, True])
def test_where_the_service_may_write_to_that_of_the_system_it_lies_there(
    passable: bool, state: Path, base: Path, tmp_path: Path
) -> None:
    (tmp_path / "system").mkdir()
    if not passable:
        base.rmdir()
    path = runtime_dir.create(state, passable=passable)
    assert path.parent == tmp_path / "system"
    assert path.name.startswith(f"kw-{os.geteuid()}-")
    assert path.stat().st_mode & 0o7777 == 0o700
    assert runtime_dir.find(state) == path


def test_nothing_is_found_before_it_was_made(state: Path) -> None:
    with pytest.raises(FileNotFoundError):
        runtime_dir.find(state)


@pytest.mark.parametrize("wrong", ["unset", "relative", "missing", "file", "link", "open to all", "too long"])
def test_a_session_directory_that_is_not_right_is_ignored(
    wrong: str, state: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "unset":
        monkeypatch.delenv("XDG_RUNTIME_DIR")
    elif wrong == "relative":
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("XDG_RUNTIME_DIR", "run")
    elif wrong == "missing":
        base.rmdir()
    elif wrong == "file":
        base.rmdir()
        base.touch()
    elif wrong == "link":
        base.rename(tmp_path / "real")
        base.symlink_to("real")
    elif wrong == "open to all":
        base.chmod(0o777)
    else:
        monkeypatch.setattr(runtime_dir, "SOCKET_PATH_BYTES", len(f"{base}/kw-01234567/") + 31)
    path = runtime_dir.create(state)
    assert path.parent == tmp_path
    assert path.name.startswith(f"kw-{os.geteuid()}-")


def test_a_directory_of_another_user_is_ignored(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = runtime_dir.create(state)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(PermissionError, match="another user"):
        runtime_dir.find(state)
    with pytest.raises(PermissionError, match="another user"):
        runtime_dir.remove(path)
    with pytest.raises(PermissionError, match="another user"):
        runtime_dir.create(state)


def test_a_directory_that_others_may_enter_or_a_link_is_refused(state: Path, tmp_path: Path) -> None:
    path = runtime_dir.create(state)
    path.chmod(0o750)
    with pytest.raises(PermissionError, match="0750"):
        runtime_dir.find(state)
    path.chmod(0o700)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(PermissionError, match="not a directory"):
        runtime_dir.find(state)


@pytest.mark.parametrize("name", ["relative/kw-01234567", "/etc", "", "/tmp/kw-0123456"])
def test_a_name_that_we_never_give_is_refused(name: str, state: Path) -> None:
    (state / "runtime").write_text(name)
    with pytest.raises(PermissionError, match="does not name"):
        runtime_dir.find(state)
