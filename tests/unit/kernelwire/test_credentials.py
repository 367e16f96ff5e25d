"""What a process may do after it became another user, by what Linux says of it. Each change is a process of its own."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from kernel_bridge.privileges import NEEDED
from kernelwire.credentials import Identity, owner_of

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
BEFORE = """
import contextlib, ctypes, json, os, pathlib, subprocess
from kernelwire import credentials
from kernelwire.credentials import Identity
def status(pid="self"):
    lines = open(f"/proc/{pid}/status").read().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
user = Identity(1900000000, 1900000002)
os.setgroups([4, 5])
"""
IDS = {"Uid": ["1900000000"] * 4, "Gid": ["1900000002"] * 4, "Groups": [], "NoNewPrivs": ["1"]}
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def _said(code: str) -> Any:
    """What the code prints, after the names above are there."""
    # nothing is imported after the change: the user may not be able to read what is installed here
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _sets(status: dict[str, list[str]]) -> set[int]:
    return {int(status[name][0], 16) for name in SETS}


@root_only
def test_nothing_is_kept() -> None:
    status = _said("credentials.become(user); print(json.dumps(status()))")
    assert status | IDS == status
    assert _sets(status) == {0}


@root_only
@pytest.mark.parametrize("read_by", ["the process", "a program that it runs"])
def test_what_is_kept_is_there_for_programs_too(read_by: str) -> None:
    read = "status()" if read_by == "the process" else "status(child.pid)"
    status = _said(
        "started = lambda: subprocess.Popen(['/bin/cat'], stdin=-1)\n"
        f"credentials.become(user, {NEEDED})\n"
        "child = started()\n"
        f"print(json.dumps({read}))\n"
        "child.communicate()"
    )
    assert status | IDS == status
    assert _sets(status) == {sum(1 << number for number in NEEDED)}


@root_only
def test_its_files_in_proc_are_its_own() -> None:
    assert _said("credentials.become(user); print(os.stat('/proc/self/environ').st_uid)") == 1900000000


@root_only
def test_others_of_its_user_cannot_look_into_a_hidden_one() -> None:
    found = _said(
        "credentials.become(user, hidden=True)\n"
        "into = subprocess.run(['/bin/ls', f'/proc/{os.getpid()}/fd'], capture_output=True)\n"
        "print(json.dumps([into.returncode, len(os.listdir('/proc/self/fd'))]))"
    )
    assert found[0] != 0
    assert found[1] > 2, "it can itself"


@root_only
def test_who_steps_down_has_root_back_for_a_moment_only() -> None:
    found = _said(
        "credentials.step_down(user)\n"
        "first = status()\n"
        "with credentials.as_root(): inside = os.geteuid()\n"
        "print(json.dumps([first, inside, status()]))"
    )
    for status in (found[0], found[2]):
        assert status["Uid"] == ["0", "1900000000", "0", "1900000000"]
        assert status["Gid"] == ["0", "1900000002", "0", "1900000002"]
        assert status["Groups"] == []
        assert status["CapEff"] == ["0" * 16]
    assert found[1] == 0


@root_only
def test_who_acts_as_another_is_root_again_after_it() -> None:
    found = _said(
        "before = status()\n"
        "with contextlib.suppress(ZeroDivisionError), credentials.acting_as(user):\n"
        "    inside = status()\n"
        "    1 / 0\n"
        "print(json.dumps([before, inside, status()]))"
    )
    names = ("Uid", "Gid", "Groups", *SETS)
    assert [found[0][name] for name in names] == [found[2][name] for name in names]
    assert found[0]["Groups"] == ["4", "5"]
    assert (found[1]["Uid"][1], found[1]["CapEff"]) == ("1900000000", ["0" * 16])


def test_an_identity_is_read_as_it_is_written() -> None:
    assert Identity.parse(str(Identity(5, 6))) == Identity(5, 6)
    with pytest.raises(ValueError, match="expected 2"):
        Identity.parse("5")


@root_only
def test_whose_a_directory_is(tmp_path: Any) -> None:
    assert owner_of(tmp_path) is None, "root's own"
    assert owner_of(tmp_path / "none") is None
    os.chown(tmp_path, 5, 6)
    assert owner_of(tmp_path) == Identity(5, 6)
    link = tmp_path.parent / "link"
    link.symlink_to(tmp_path)
    assert owner_of(link) is None, "a link leads nowhere"
