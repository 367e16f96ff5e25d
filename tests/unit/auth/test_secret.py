from collections.abc import Callable
from pathlib import Path

import pytest

from auth.errors import StateDirInsecure, StateDirUnusable
from auth.secret import SECRET_FILE, KeyFile, Keys, load, load_or_create, rotate

LOAD = """\
from auth.secret import load_or_create
print(load_or_create(state_dir).keys[-1].hex())
"""


def test_the_secret_is_made_once_and_private(state_dir: Path) -> None:
    keys = load_or_create(state_dir)
    assert len(keys.keys) == 1
    assert len(keys.keys[0]) == 32
    assert load_or_create(state_dir) == load(state_dir) == keys
    assert (state_dir / SECRET_FILE).stat().st_mode & 0o777 == 0o600
    assert state_dir.stat().st_mode & 0o777 == 0o700


def test_two_directories_have_two_secrets(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "a") != load_or_create(tmp_path / "b")


def test_keys_are_read_in_order(state_dir: Path) -> None:
    first = load_or_create(state_dir)
    with (state_dir / SECRET_FILE).open("a") as file:
        file.write("ab" * 32 + "\n")
    assert load(state_dir).keys == (first.keys[0], b"\xab" * 32)


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"ab" * 31, b"zz" * 32, b"\xff\x00" * 40, b"a" * 65])
def test_what_is_no_key_is_refused(state_dir: Path, content: bytes) -> None:
    load_or_create(state_dir)
    (state_dir / SECRET_FILE).write_bytes(content)
    with pytest.raises(StateDirUnusable, match="expected one key a line"):
        load_or_create(state_dir)


def test_a_readable_secret_is_refused(state_dir: Path) -> None:
    load_or_create(state_dir)
    (state_dir / SECRET_FILE).chmod(0o644)
    for read in (load, load_or_create):
        with pytest.raises(StateDirInsecure, match="chmod 600"):
            read(state_dir)


def test_load_makes_nothing(state_dir: Path) -> None:
    with pytest.raises(StateDirUnusable, match="there is no secret"):
        load(state_dir)
    assert not state_dir.exists()


def test_keys_are_not_shown() -> None:
    assert repr(Keys((b"k" * 32,))) == "Keys(1 hidden)"


def test_processes_that_start_at_once_end_with_the_same_key(
    state_dir: Path, at_once: Callable[[str, Path], list[str]]
) -> None:
    answers = at_once(LOAD, state_dir)
    assert answers == [load(state_dir).keys[-1].hex()] * 3
    assert [path.name for path in state_dir.iterdir()] == [SECRET_FILE]


DAY_S = 86_400


def test_a_new_key_signs_and_the_old_one_verifies(state_dir: Path) -> None:
    first = load_or_create(state_dir, 1000.0)
    rotated = rotate(state_dir, 2000.0, DAY_S, revoke=False)
    assert rotated == load(state_dir)
    assert rotated.keys[0] == first.keys[0] != rotated.keys[1]
    assert rotated.times == (1000, 2000)
    assert (state_dir / SECRET_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in state_dir.iterdir()] == [SECRET_FILE]


def test_a_key_goes_when_its_last_token_has_expired(state_dir: Path) -> None:
    first = load_or_create(state_dir, 1000.0)
    second = rotate(state_dir, 1000.0 + 9 * DAY_S, DAY_S, revoke=False)  # the first has signed until now
    assert second.keys[0] == first.keys[0]
    third = rotate(state_dir, 1000.0 + 10 * DAY_S, DAY_S, revoke=False)
    assert third.keys[0] == second.keys[1]
    assert len(third.keys) == 2


def test_a_key_whose_age_nobody_knows_stays(state_dir: Path) -> None:
    first = load_or_create(state_dir)
    assert (state_dir / SECRET_FILE).read_text() == f"{first.keys[0].hex()}\n"
    rotate(state_dir, 1000.0, DAY_S, revoke=False)
    assert len(rotate(state_dir, 1001.0, DAY_S, revoke=False).keys) == 3


def test_revoking_leaves_the_new_key_alone(state_dir: Path) -> None:
    first = load_or_create(state_dir, 1000.0)
    rotate(state_dir, 1500.0, DAY_S, revoke=False)
    left = rotate(state_dir, 2000.0, DAY_S, revoke=True)
    assert len(left.keys) == 1
    assert left.keys[0] != first.keys[0]


def test_a_key_file_tells_of_a_change_once(state_dir: Path) -> None:
    load_or_create(state_dir, 1000.0)
    file = KeyFile(state_dir)
    assert file.changed() is None
    rotated = rotate(state_dir, 2000.0, DAY_S, revoke=False)
    assert file.changed() == rotated
    assert file.changed() is None
    (state_dir / SECRET_FILE).chmod(0o644)
    (state_dir / SECRET_FILE).write_bytes(b"no key\n")
    with pytest.raises(StateDirInsecure):
        file.changed()
    assert (file.changed(), file.keys) == (None, rotated)


def test_the_id_of_a_key_tells_nothing_of_it(state_dir: Path) -> None:
    keys = load_or_create(state_dir)
    assert len(keys.ids[0]) == 8
    assert keys.ids[0] not in keys.keys[0].hex()


ROTATE = """\
from auth.secret import rotate
print(rotate(state_dir, 2000.0, 86400, revoke=False).keys[-1].hex())
"""


def test_rotations_at_once_lose_no_key(state_dir: Path, at_once: Callable[[str, Path], list[str]]) -> None:
    load_or_create(state_dir, 1000.0)
    made = at_once(ROTATE, state_dir)
    assert {key.hex() for key in load(state_dir).keys[1:]} == set(made)
