import os
import stat
from pathlib import Path

import pytest

from auth.errors import StateDirInsecure, StateDirUnusable
from auth.private_files import create_once, make_private_dir, read_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    make_private_dir(path)
    make_private_dir(path)
    assert mode(path) == 0o700


def test_users_of_sessions_may_pass(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(0o711)
    make_private_dir(path)
    file = path / "file"
    file.touch()
    file.chmod(0o711)
    with pytest.raises(StateDirInsecure, match="chmod 600"):
        read_private(file)


@pytest.mark.parametrize("open_mode", [0o710, 0o750, 0o755, 0o701, 0o777])
def test_a_directory_open_to_others_is_refused_with_advice(tmp_path: Path, open_mode: int) -> None:
    path = tmp_path / "state"
    path.mkdir()
    (path / "file").touch()
    path.chmod(open_mode)
    with pytest.raises(StateDirInsecure, match="chmod 700") as caught:
        make_private_dir(path)
    assert caught.value.path == path
    assert mode(path) == open_mode


def test_an_empty_directory_as_others_make_it_becomes_private(tmp_path: Path) -> None:
    made = tmp_path / "volume"
    made.mkdir(mode=0o755)
    made.chmod(0o755)
    make_private_dir(made)
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o755)
    (made / "file").touch()
    with pytest.raises(StateDirInsecure):
        make_private_dir(made)


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(StateDirInsecure, match="symbolic link"):
        make_private_dir(tmp_path / "link")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(StateDirInsecure, match="symbolic link"):
        make_private_dir(tmp_path / "dangling")


def test_a_foreign_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    (path / "file").touch(mode=0o600)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(StateDirInsecure, match=f"belongs to user {me}"):
        make_private_dir(path)
    with pytest.raises(StateDirInsecure, match=f"belongs to user {me}"):
        read_private(path / "file")


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o600)
    with pytest.raises(StateDirUnusable, match="not a directory"):
        make_private_dir(tmp_path / "file")
    with pytest.raises(StateDirUnusable):
        make_private_dir(tmp_path / "file" / "below")


def test_create_once_keeps_the_first_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert create_once(path, b"one") == b"one"
    assert create_once(path, b"two") == b"one"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_create_once_says_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(StateDirUnusable, match="No such file or directory"):
        create_once(tmp_path / "none" / "file", b"")


@pytest.mark.parametrize("open_mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_open_to_others_is_refused(tmp_path: Path, open_mode: int) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(open_mode)
    with pytest.raises(StateDirInsecure, match="chmod 600"):
        read_private(path)


def test_a_link_a_pipe_and_a_directory_are_no_files(tmp_path: Path) -> None:
    create_once(tmp_path / "real", b"")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "dir").mkdir(mode=0o700)
    with pytest.raises(StateDirInsecure, match="symbolic link"):
        read_private(tmp_path / "link")
    for name in ("pipe", "dir"):
        with pytest.raises(StateDirUnusable, match="not a file"):
            read_private(tmp_path / name)
