import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, insert, inspect, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ProgrammingError, StatementError

from auth.database import DATABASE_FILE, Database, default_url
from auth.errors import BadDatabaseUrl, DatabaseUnavailable, SchemaTooNew
from auth.revocations import Revocations
from auth.schema import metadata, revoked_tokens, users
from auth.script_tokens import ScriptTokens, Wanted
from auth.settings import AuthSettings
from auth.tokens import Claims
from auth.upgrade import upgrade
from auth.users import Users

UPGRADE = """\
from sqlalchemy import text
import auth.upgrade
from auth.database import Database, default_url
database = Database(default_url(state_dir))
database.upgrade()
with database.reading() as connection:
    print(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
database.close()
"""


def test_the_migrations_make_the_schema(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        found = inspect(connection)
        assert found.get_pk_constraint("users")["name"] == "pk_users"
        assert [unique["name"] for unique in found.get_unique_constraints("users")] == ["uq_users_name_key"]
        assert [index["name"] for index in found.get_indexes("revoked_tokens")] == ["ix_revoked_tokens_expires_at"]


def test_the_file_is_private_and_in_wal_mode(database: Database, state_dir: Path) -> None:
    with database.writing() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 3000
        connection.execute(text("CREATE TABLE t (x)"))
        files = {path.name: path.stat().st_mode & 0o777 for path in state_dir.iterdir()}
    assert files == {DATABASE_FILE: 0o600, DATABASE_FILE + "-wal": 0o600, DATABASE_FILE + "-shm": 0o600}


def test_an_upgrade_twice_changes_nothing(database: Database) -> None:
    user = Users(database).add("ada", "hash")
    database.upgrade()
    assert Users(database).all() == [user]


def test_an_upgrade_from_the_first_schema_keeps_what_is_there(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    (state_dir / DATABASE_FILE).touch(mode=0o600)
    with contextlib.closing(Database(default_url(state_dir))) as database:
        with database.writing() as connection:
            upgrade(connection, "0001")
        user = Users(database).add("ada", "hash")
        token = Claims("t1", user.id, "ada", None, None, (), 1, 1_800_000_000, 1_800_000_100)
        Revocations(database).add([token])
        with database.reading() as connection:
            assert "script_tokens" not in inspect(connection).get_table_names()

        database.upgrade()

        assert Users(database).all() == [user]
        assert Revocations(database).read(1_800_000_000).revoked == {"t1"}
        tokens = ScriptTokens(database, AuthSettings())
        made = tokens.create(user.id, Wanted(("read",)), 1_800_000_000)
        assert [token.token_id for token in tokens.page(user.id, 1_800_000_000, 10).tokens] == [made.token_id]
        with database.reading() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_upgrade_leaves_logging_alone(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("alembic").level, logging.getLogger(__name__).disabled)
    database.upgrade()
    after = (root.level, list(root.handlers), logging.getLogger("alembic").level, logging.getLogger(__name__).disabled)
    assert after == before


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="9999") as caught:
        database.upgrade()
    assert caught.value.found == "9999"
    assert caught.value.known == "0002"
    with database.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_an_upgrade_that_fails_half_way_leaves_nothing(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    database = Database(default_url(state_dir))

    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "revoked_tokens" in statement:
            raise OSError("pulled the plug")

    event.listen(database.engine, "before_cursor_execute", fail)
    with pytest.raises(DatabaseUnavailable):
        database.upgrade()
    event.remove(database.engine, "before_cursor_execute", fail)
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == []
    database.upgrade()
    assert Users(database).is_empty()
    database.close()


def test_processes_that_upgrade_at_once(state_dir: Path, at_once: Callable[[str, Path], list[str]]) -> None:
    state_dir.mkdir(mode=0o700)
    assert at_once(UPGRADE, state_dir) == ["0002"] * 3


def test_an_upgrade_waits_for_a_lock_that_sqlite_would_not_wait_for(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of two connections that turn to WAL at once SQLite may tell one, without waiting, that the other is at it
    state_dir.mkdir(mode=0o700)
    (state_dir / DATABASE_FILE).touch(mode=0o600)
    other = sqlite3.connect(state_dir / DATABASE_FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        other.rollback()

    monkeypatch.setattr("auth.database._BUSY_S", 0.05)
    monkeypatch.setattr("auth.database.time.sleep", let_go)
    with contextlib.closing(other), contextlib.closing(Database(default_url(state_dir))) as database:
        database.upgrade()
        assert Users(database).is_empty()
    assert len(waits) == 1


def test_threads_that_upgrade_at_once(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    databases = [Database(default_url(state_dir)) for _ in range(6)]
    faults: list[BaseException] = []
    together = threading.Barrier(len(databases))

    def upgrade(database: Database) -> None:
        together.wait(10)
        try:
            database.upgrade()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            faults.append(error)

    threads = [threading.Thread(target=upgrade, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for database in databases:
        database.close()
    assert faults == []


def unavailable(database: Database) -> str:
    with pytest.raises(DatabaseUnavailable) as caught:
        Users(database).add("bob", "hash")
    assert caught.value.retry_after_s > 0
    assert "bob" not in str(caught.value)
    return caught.value.reason


def test_a_missing_directory(tmp_path: Path) -> None:
    database = Database(default_url(tmp_path / "none"))
    with pytest.raises(DatabaseUnavailable) as caught:
        database.upgrade()
    assert "No such file" in caught.value.reason
    assert "unable to open" in unavailable(database)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_removed_is_not_replaced_by_an_empty_one(database: Database, state_dir: Path) -> None:
    Users(database).add("ada", "hash")  # leaves an open connection in the pool
    for path in state_dir.iterdir():
        path.unlink()
    assert "unable to open" in unavailable(database)
    assert list(state_dir.iterdir()) == []
    database.upgrade()
    assert Users(database).is_empty()


def test_a_file_that_was_replaced_is_read_anew(database: Database, state_dir: Path, tmp_path: Path) -> None:
    Users(database).add("ada", "hash")
    (tmp_path / "other").mkdir(mode=0o700)
    with contextlib.closing(Database(default_url(tmp_path / "other"))) as other:
        other.upgrade()
        Users(other).add("bob", "hash")
    for path in state_dir.iterdir():
        path.unlink()
    (tmp_path / "other" / DATABASE_FILE).rename(state_dir / DATABASE_FILE)
    assert [user.name for user in Users(database).all()] == ["bob"]


def test_a_file_that_is_no_database(database: Database, state_dir: Path) -> None:
    database.close()
    (state_dir / DATABASE_FILE).write_bytes(b"rubbish" * 1000)
    assert "not a database" in unavailable(database)
    with pytest.raises(DatabaseUnavailable):
        database.upgrade()


def test_an_empty_file(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    (state_dir / DATABASE_FILE).touch(mode=0o600)
    with contextlib.closing(Database(default_url(state_dir))) as database:
        assert "no such table" in unavailable(database)


def on_connect(database: Database, pragma: str) -> None:
    def run(connection: DBAPIConnection, _entry: object) -> None:
        connection.cursor().execute(pragma)

    database.close()
    event.listen(database.engine, "connect", run)


def test_read_only(database: Database) -> None:
    on_connect(database, "PRAGMA query_only = ON")
    assert "readonly" in unavailable(database)
    assert Users(database).all() == []


def fill(users: Users) -> None:
    for number in range(200):
        users.add(f"user{number}", "h" * 255)


def test_disk_full(database: Database) -> None:
    on_connect(database, "PRAGMA max_page_count = 1")
    users = Users(database)
    with pytest.raises(DatabaseUnavailable) as caught:
        fill(users)
    assert "full" in caught.value.reason


def test_locked_by_another(database: Database, state_dir: Path) -> None:
    on_connect(database, "PRAGMA busy_timeout = 1")
    with contextlib.closing(sqlite3.connect(state_dir / DATABASE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in unavailable(database)
        assert Users(database).all() == []  # reading goes on
        other.execute("ROLLBACK")
    Users(database).add("bob", "hash")


def test_faults_of_the_program_are_not_called_unavailable(database: Database) -> None:
    with pytest.raises(ProgrammingError), database.reading() as connection:
        connection.exec_driver_sql("SELECT ?", (1, 2))


def test_values_are_not_in_errors(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable) as caught, database.writing() as connection:
        connection.execute(text("INSERT INTO none VALUES (:hash)"), {"hash": "hidden-hash"})
    texts = [str(caught.value), repr(caught.value), caught.value.reason, str(caught.value.__cause__)]
    assert not any("hidden-hash" in one for one in texts)


def test_a_transaction_that_raises_is_rolled_back(database: Database) -> None:
    with contextlib.suppress(KeyError), database.writing() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        raise KeyError
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_times_without_zone_are_refused(database: Database) -> None:
    row = insert(revoked_tokens)
    east = datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    values = {"token_id": "t", "user_id": "u", "expires_at": east, "revoked_at": east}
    with pytest.raises(StatementError, match="without time zone"), database.writing() as connection:
        connection.execute(row.values({**values, "expires_at": datetime(2030, 1, 1)}))
    with database.writing() as connection:
        connection.execute(row.values(values))
        found = connection.execute(select(revoked_tokens.c.expires_at)).scalar_one()
    assert found == east
    assert found.isoformat() == "2030-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite://",
        "sqlite:///relative.db",
        "sqlite:////a?mode=ro",
        "sqlite://host//a",
        "mysql://u:hidden@h/d",
        ":/hidden",
    ],
)
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(BadDatabaseUrl, match="sqlite:////absolute") as caught:
        Database(url)
    assert "hidden" not in str(caught.value)


def test_an_url_in_text(tmp_path: Path) -> None:
    with contextlib.closing(Database(f"sqlite:///{tmp_path / 'my.db'}")) as database:
        database.upgrade()
        with database.reading() as connection:
            assert connection.execute(select(users)).all() == []
    assert (tmp_path / "my.db").exists()
