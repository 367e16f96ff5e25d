"""Trees that belong to users of sessions, and are removed whatever they hold."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_bridge import ownership, privileges
from kernel_bridge.ownership import remove_tree

SOMEBODY = 1_900_000_001
NOBODY = 65534


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remove_tree(tmp_path / "gone")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(NotADirectoryError):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "outside").is_dir()


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, and setpriv")
def test_a_service_with_the_needed_capabilities_empties_what_only_its_owner_may(tmp_path: Path) -> None:
    parent = tmp_path / "workdirs"
    sticky = parent / "tree" / "sticky"
    sticky.mkdir(parents=True)
    (sticky / "file").touch()
    (sticky / "file").chmod(0)
    sticky.chmod(0o1700)
    ownership.give_tree(parent, NOBODY, NOBODY)
    ownership.give_tree(parent / "tree", SOMEBODY, SOMEBODY)
    assert privileges.NEEDED == (0, 1, 5, 6, 7)
    capabilities = "-all,+chown,+dac_override,+kill,+setgid,+setuid"
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    code = Path(ownership.__file__).read_text() + "\nimport sys\nremove_tree(Path(sys.argv[1]))\n"
    command = ["setpriv", *ids, f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
    done = subprocess.run(
        [*command, sys.executable, "-I", "-S", "-c", code, str(parent / "tree")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    assert not (parent / "tree").exists()


DEPTH = 3000


def nest(top: Path) -> None:
    """As a cell can: deeper than what calls itself can follow, with a file at the bottom."""
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_a_tree_deeper_than_python_can_call_is_walked_and_removed(tmp_path: Path) -> None:
    nest(tmp_path / "deep")
    assert sum(1 for _ in ownership.walk(tmp_path / "deep")) == DEPTH + 1
    ownership.give_tree(tmp_path / "deep", os.geteuid(), os.getegid())
    remove_tree(tmp_path / "deep")
    assert not (tmp_path / "deep").exists()


def test_what_a_cell_may_leave_is_removed(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    (top / "closed" / "inner").mkdir(parents=True)
    (top / "closed" / "inner" / "file").touch()
    outside.write_text("another's")
    (top / "link").symlink_to(outside)
    (top / "folder").symlink_to(tmp_path)
    os.link(outside, top / "name")
    os.mkfifo(top / "pipe")
    (top / "closed" / "inner").chmod(0)
    (top / "closed").chmod(0o1000)
    remove_tree(top)
    assert not top.exists()
    assert outside.read_text() == "another's"


def test_a_directory_that_is_moved_meanwhile_is_not_left_by_its_new_way(tmp_path: Path) -> None:
    (tmp_path / "top" / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    walking = ownership.walk(tmp_path / "top")
    assert next(walking)[1] == []
    (tmp_path / "top" / "a" / "b").rename(tmp_path / "elsewhere" / "b")
    with pytest.raises(OSError, match="was moved"):
        next(walking)
