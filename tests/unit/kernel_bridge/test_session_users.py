"""Users of sessions: given out once, and only where kernels of other users can live."""

import os
from pathlib import Path

import pytest

from kernel_bridge import privileges, session_users
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.sandbox.probe import Layer, Layers
from kernel_bridge.sandbox.settings import SandboxSettings
from kernel_bridge.session_users import SessionUsers, open_users

BASE = 1_900_000_001
STRICT = SandboxSettings()
NO_SANDBOX = SandboxSettings(profile="none")


def few(uid: int) -> bool:
    return uid < 65536


def all_of_them(uid: int) -> bool:
    return uid >= 0


def closed(path: Path, _: int) -> str:
    return f"{path} is closed to other users"


def test_no_number_is_given_twice(tmp_path: Path) -> None:
    assert [SessionUsers(tmp_path / "next-uid", BASE, 4).new() for _ in range(3)] == [BASE, BASE + 1, BASE + 2]
    users = SessionUsers(tmp_path / "next-uid", BASE, 4)
    assert users.new() == BASE + 3
    with pytest.raises(OSError, match="uid_count"):
        users.new()
    assert SessionUsers(tmp_path / "next-uid", BASE + 100, 4).new() == BASE + 100  # the setting was changed


def test_none_without_the_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_users(tmp_path, LimitSettings(uid_base=None), STRICT)[0] is None
    monkeypatch.setattr(privileges, "has", lambda: False)
    users, why = open_users(tmp_path, LimitSettings(), STRICT)
    assert users is None
    assert "capabilities" in why


def test_none_in_a_container_with_few_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "has", lambda: True)
    monkeypatch.setattr(privileges, "is_mapped", few)
    users, why = open_users(tmp_path, LimitSettings(), STRICT)
    assert users is None
    assert "container" in why


def test_none_where_the_service_is_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "has", lambda: True)
    monkeypatch.setattr(privileges, "is_mapped", all_of_them)
    monkeypatch.setattr(os, "geteuid", lambda: BASE + 5)
    users, why = open_users(tmp_path, LimitSettings(), STRICT)
    assert users is None
    assert "one of those of sessions" in why


def test_none_where_other_users_cannot_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "has", lambda: True)
    monkeypatch.setattr(privileges, "is_mapped", all_of_them)
    monkeypatch.setattr(privileges, "obstacle", closed)
    users, why = open_users(tmp_path, LimitSettings(), STRICT)
    assert users is None
    assert "closed" in why


def test_what_is_closed_to_others_is_found(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    program = place / "program"
    program.touch(mode=0o755)
    for above in (tmp_path, *tmp_path.parents[:-2]):
        above.chmod(0o711)
    assert privileges.obstacle(program) is None
    (tmp_path / "link").symlink_to(program)
    place.chmod(0o700)
    assert privileges.obstacle(program) == f"{place} is closed to other users"
    assert privileges.obstacle(tmp_path / "link") == f"{place} is closed to other users"
    place.chmod(0o711)
    program.chmod(0o700)
    assert privileges.obstacle(program) == f"{program} is closed to other users"


def test_this_machine_has_the_user_of_this_process() -> None:
    assert privileges.is_mapped(os.geteuid())
    assert not privileges.is_mapped((1 << 32) - 1)


def open_to_all(_path: Path, _needed: int) -> None:
    return None


def weaker_for_others(uid: int | None = None) -> Layers:
    names = ("namespaces", "landlock", "seccomp")
    return Layers(tuple(Layer(name, there=uid is None or name != "namespaces", words="refused") for name in names))


def test_none_where_only_root_may_have_the_whole_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "has", lambda: True)
    monkeypatch.setattr(privileges, "is_mapped", all_of_them)
    monkeypatch.setattr(privileges, "obstacle", open_to_all)
    monkeypatch.setattr(session_users, "probe", weaker_for_others)
    users, why = open_users(tmp_path, LimitSettings(), STRICT)
    assert users is None
    assert "no namespaces (refused)" in why
    assert open_users(tmp_path, LimitSettings(), NO_SANDBOX)[0] is not None


def test_none_where_what_all_sessions_share_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed_one = tmp_path / "closed"
    closed_one.mkdir(mode=0o700)

    def obstacle(path: Path, _: int) -> str | None:
        return closed(path, 0) if path.is_relative_to(closed_one) else None

    monkeypatch.setattr(privileges, "has", lambda: True)
    monkeypatch.setattr(privileges, "is_mapped", all_of_them)
    monkeypatch.setattr(privileges, "obstacle", obstacle)
    shared = SandboxSettings(profile="none", mounts_ro=[str(closed_one / "data")])
    assert open_users(tmp_path, LimitSettings(), shared) == (None, f"{closed_one}/data is closed to other users")


def test_who_gets_one() -> None:
    mixed = SandboxSettings(users={"alice": "trusted"})
    assert session_users.are_for(mixed, "bob")
    assert not session_users.are_for(mixed, "alice")
    assert not session_users.are_for_all(mixed)
    assert session_users.are_for_all(STRICT)


def test_the_way_is_open_and_what_lies_beside_it_is_closed(tmp_path: Path) -> None:
    state, sockets = tmp_path / "state", tmp_path / "sockets"
    (state / "logs").mkdir(parents=True)
    (state / "old").write_text("")
    (state / "old").chmod(0o644)
    (state / "link").symlink_to(tmp_path)
    session_users.open_way(state, sockets)
    session_users.open_way(state, sockets)
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in (state, sockets, *state.iterdir()) if path.name != "link"
    }
    way = dict.fromkeys(("state", "sockets", "kernels", "workdirs"), 0o711)
    assert modes == way | {"sessions": 0o700, "logs": 0o700, "old": 0o600}


def test_files_that_we_may_not_have_are_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(session_users, "give_tree", refuse)
    session_users.give(tmp_path, None)  # it is ours
    with pytest.raises(PermissionError, match=f"belongs to user {os.geteuid()}.*start it as root"):
        session_users.give(tmp_path, BASE)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@as_root
def test_a_kernel_reads_its_connection_file_and_nothing_else_there(tmp_path: Path) -> None:
    directory, file = tmp_path / "kid", tmp_path / "kid" / "connection.json"
    directory.mkdir(mode=0o700)
    file.touch(0o600)
    session_users.let_read(directory, file, BASE)
    found = [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) for path in (directory, file)]
    assert found == [(0, BASE, 0o710), (0, BASE, 0o640)]


@as_root
def test_files_are_given_without_following_links(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").touch()
    (tree / "link").symlink_to(outside)
    (outside / "shared").touch()
    (tree / "shared").hardlink_to(outside / "shared")
    session_users.give(tree, BASE)
    assert (outside.stat().st_uid, (outside / "shared").stat().st_uid) == (0, 0)
    assert {path.lstat().st_uid for path in (tree, tree / "below", tree / "below" / "file", tree / "link")} == {BASE}
    (tree / "later").touch()
    session_users.give(tree, BASE)  # it is theirs: nobody looks into it
    assert (tree / "later").stat().st_uid == 0
