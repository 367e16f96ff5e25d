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
    with pytest.raises(OSError, match="symbolic link"):
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
