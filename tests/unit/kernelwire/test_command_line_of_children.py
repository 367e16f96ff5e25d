"""How the supervisor's children are run: what they read before they are who they become."""

import os
from pathlib import Path

import pytest

from kernelwire import child


@pytest.mark.parametrize("uid", [0, 1000])
def test_what_begins_as_root_reads_no_packages_of_a_users_own(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    assert ("-s" in child.command_line("_host")) is (uid == 0)


def test_an_installation_in_the_users_own_packages_goes_on_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(child.site, "getusersitepackages", lambda: str(Path(child.__file__).parents[1]))
    assert "-s" not in child.command_line("_host")
