import contextlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auth import passwords
from auth.bootstrap import ADMIN, PASSWORD_FILE, Bootstrapped, bootstrap, forget_admin_password
from auth.database import DATABASE_FILE, Database, default_url
from auth.errors import DatabaseUnavailable, StateDirInsecure
from auth.revocations import Revocations
from auth.secret import SECRET_FILE, load
from auth.settings import AuthSettings
from auth.tokens import Claims
from auth.users import Users

START = """\
import auth.upgrade
from auth.bootstrap import bootstrap
made = bootstrap(state_dir)
print(made.created, made.admin_password)
"""
# Ends the process, as SIGKILL would, when the named function is called (or has returned).
KILLED = """
import os, sys
from importlib import import_module
from pathlib import Path
module, name, when = sys.argv[2:]
owner = import_module(module)
*path, name = name.split(".")
for step in path:
    owner = getattr(owner, step)
real = getattr(owner, name)
def killed(*args, **kwargs):
    if when == "after":
        real(*args, **kwargs)
    os._exit(9)
setattr(owner, name, killed)
from auth.bootstrap import bootstrap
bootstrap(Path(sys.argv[1]))
"""


def admin_can_log_in(state_dir: Path, password: str | None) -> bool:
    with contextlib.closing(Database(default_url(state_dir))) as database:
        found = Users(database).credentials(ADMIN)
    return found is not None and password is not None and passwords.verify(found.password_hash, password)


def test_the_first_start(state_dir: Path) -> None:
    made = bootstrap(state_dir)
    assert made.created
    assert made.admin_password is not None
    assert len(made.admin_password) == 24
    assert not set(made.admin_password) & set("0O1lIoi\"'$`\\ ")
    assert admin_can_log_in(state_dir, made.admin_password)
    files = {path.name: path.stat().st_mode & 0o777 for path in state_dir.iterdir()}
    assert files == {SECRET_FILE: 0o600, DATABASE_FILE: 0o600, PASSWORD_FILE: 0o600}
    assert state_dir.stat().st_mode & 0o777 == 0o700
    assert made.admin_password_file.read_text() == made.admin_password + "\n"


def test_later_starts_change_nothing(state_dir: Path) -> None:
    made = bootstrap(state_dir)
    keys = load(state_dir)
    assert bootstrap(state_dir) == Bootstrapped(False, made.admin_password, made.admin_password_file)
    forget_admin_password(state_dir)
    forget_admin_password(state_dir)
    again = bootstrap(state_dir)
    assert (again.created, again.admin_password) == (False, None)
    assert load(state_dir) == keys
    assert admin_can_log_in(state_dir, made.admin_password)


def test_a_password_that_was_changed_is_not_shown(state_dir: Path) -> None:
    bootstrap(state_dir)
    with contextlib.closing(Database(default_url(state_dir))) as database:
        Users(database).set_password(ADMIN, passwords.hash("another one"))
    assert bootstrap(state_dir).admin_password is None
    assert not (state_dir / PASSWORD_FILE).exists()


def test_no_admin_where_there_are_users(state_dir: Path) -> None:
    bootstrap(state_dir)
    with contextlib.closing(Database(default_url(state_dir))) as database:
        Users(database).add("ada", "hash")
        Users(database).remove(ADMIN)
    made = bootstrap(state_dir)
    assert (made.created, made.admin_password) == (False, None)


def test_a_spoiled_password_file_is_replaced(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    (state_dir / PASSWORD_FILE).touch(mode=0o600)
    made = bootstrap(state_dir)
    assert admin_can_log_in(state_dir, made.admin_password)


def test_two_starts_have_two_passwords(tmp_path: Path) -> None:
    assert bootstrap(tmp_path / "a").admin_password != bootstrap(tmp_path / "b").admin_password


def test_the_password_is_not_in_repr(state_dir: Path) -> None:
    made = bootstrap(state_dir)
    assert made.admin_password is not None
    assert made.admin_password not in repr(made) + str(made)
    assert "hidden" in repr(made)


def test_expired_revocations_are_purged(state_dir: Path) -> None:
    bootstrap(state_dir)
    now = int(datetime.now(UTC).timestamp())
    with contextlib.closing(Database(default_url(state_dir))) as database:
        for token_id, expires_at in (("old", now - 5), ("new", now + 500)):
            Revocations(database).add([Claims(token_id, "u", "u", None, None, (), 1, now - 10, expires_at)])
        bootstrap(state_dir)
        assert Revocations(database).read(0).revoked == {"new"}


def test_an_open_directory_is_refused_and_nothing_made(state_dir: Path) -> None:
    state_dir.mkdir()
    state_dir.chmod(0o750)
    with pytest.raises(StateDirInsecure, match="chmod 700"):
        bootstrap(state_dir)
    assert list(state_dir.iterdir()) == []


def test_a_database_elsewhere(state_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    assert bootstrap(state_dir, AuthSettings(database_url=f"sqlite:///{elsewhere}")).created
    assert elsewhere.exists()
    assert not (state_dir / DATABASE_FILE).exists()
    with pytest.raises(DatabaseUnavailable):
        bootstrap(state_dir, AuthSettings(database_url=f"sqlite:///{tmp_path / 'none' / 'x.db'}"))


@pytest.mark.parametrize(
    ("module", "name", "when"),
    [
        ("os", "link", "before"),
        ("os", "link", "after"),
        ("auth.secret", "create_once", "after"),
        ("auth.database", "_create_file", "after"),
        ("auth.upgrade", "upgrade", "after"),
        ("auth.database", "Database.upgrade", "after"),
        ("auth.bootstrap", "create_once", "after"),
        ("auth.users", "Users.add", "before"),
        ("auth.users", "Users.add", "after"),
    ],
)
def test_killed_half_way_the_next_start_completes_it(state_dir: Path, module: str, name: str, when: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(state_dir), module, name, when], timeout=60, check=False)
    assert ended.returncode == 9
    made = bootstrap(state_dir)
    assert admin_can_log_in(state_dir, made.admin_password)
    assert made.created is ((name, when) != ("Users.add", "after"))


def test_processes_that_start_at_once(state_dir: Path, at_once: Callable[[str, Path], list[str]]) -> None:
    said = sorted(output.split() for output in at_once(START, state_dir))
    assert [created for created, _ in said] == ["False", "False", "True"]
    shown = {password for _, password in said}
    assert len(shown) == 1
    assert admin_can_log_in(state_dir, shown.pop())
