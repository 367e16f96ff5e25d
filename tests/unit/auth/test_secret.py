from collections.abc import Callable
from pathlib import Path

import pytest

from auth.errors import StateDirInsecure, StateDirUnusable
from auth.secret import SECRET_FILE, Keys, load, load_or_create

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
