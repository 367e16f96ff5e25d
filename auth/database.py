"""The database: the way to SQL, with its transactions and the one place where the driver's errors are mapped.

SQLite in a file, in WAL mode: readers and one writer do not wait for each other. Other databases come later behind
the same class; nothing outside this module knows which one it is.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, QueuePool, create_engine, event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from auth.errors import BadDatabaseUrl, DatabaseUnavailable, StateDirUnusable

DATABASE_FILE = "kernelwire.db"
_BUSY_S = 3.0
_WAL_S = 10.0
_SQLITE_PATH_BYTES = 500
"""SQLITE_MAX_PATHNAME is 512 and counts the endings of its own files, such as -journal, too"""
_EXPECTED = "sqlite:////absolute/path/of/a/file, without options"


def default_url(state_dir: Path) -> URL:
    """The URL of `<state>/kernelwire.db`."""
    return URL.create("sqlite", database=str(state_dir.absolute() / DATABASE_FILE))


class Database:
    """A database by its URL. Connects when asked, not before; may be shared between threads. Close it."""

    def __init__(self, url: URL | str) -> None:
        """Raises: BadDatabaseUrl, StateDirUnusable (the path is too long for SQLite)."""
        self._path = _sqlite_path(url)
        # Parameters of statements (hashes, token ids) stay out of exceptions. Three seconds for a connection of the
        # pool, as for a lock: within the five that a front waits.
        self.engine = create_engine(
            "sqlite://", creator=self._connect, poolclass=QueuePool, pool_timeout=_BUSY_S, hide_parameters=True
        )
        event.listen(self.engine, "connect", self._remember_file)
        event.listen(self.engine, "checkout", self._check_file)
        event.listen(self.engine, "begin", _begin)

    @contextlib.contextmanager
    def reading(self) -> Generator[Connection, None, None]:
        """A connection in a transaction that reads one state of the database. Raises: DatabaseUnavailable."""
        with _mapped(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Generator[Connection, None, None]:
        """A connection in a transaction that holds the write lock from its start; committed at the end.

        Raises: DatabaseUnavailable; sqlalchemy's IntegrityError passes through.
        """
        with _mapped(), self.engine.connect() as connection:
            # The lock at once: a reader that turns into a writer half-way cannot wait for it, only fail
            writer = connection.execution_options(sqlite_begin="IMMEDIATE")
            with writer.begin():
                yield writer

    def upgrade(self) -> None:
        """Makes the database (mode 0600, in a directory that is there) and brings its schema up to date.

        Safe in several processes at once, and killed at any moment: it is one transaction.
        Raises: DatabaseUnavailable, SchemaTooNew.
        """
        # alembic takes longer to import than a front takes to check 10,000 tokens, and fronts never upgrade
        from auth.upgrade import upgrade

        with _mapped():
            _create_file(self._path)
            self._set_wal()
        with self.writing() as connection:
            upgrade(connection)

    def is_current(self) -> bool:
        """Whether the schema is the one that this version knows; else `upgrade` brings it up to date.

        Raises: DatabaseUnavailable, SchemaTooNew.
        """
        from auth.upgrade import is_current

        with self.reading() as connection:
            return is_current(connection)

    def close(self) -> None:
        """Closes all connections that nobody uses; those in use close when they are given back. Idempotent."""
        self.engine.dispose()

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a database that has vanished must not be replaced by an empty one
        uri = f"file:{quote(os.fsencode(self._path))}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)

    def _remember_file(self, _connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = self._file()

    def _check_file(
        self, _connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        """SQLite goes on with a file that was removed or replaced (as by a restored backup): connect again."""
        if entry.info.get("file") != self._file():
            raise exc.DisconnectionError("the database file is another one")

    def _file(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _set_wal(self) -> None:
        """The mode is kept in the file. SQLite does not wait for the lock that it takes to change it; we do."""
        deadline = time.monotonic() + _WAL_S
        with contextlib.closing(self._connect()) as connection:
            while True:
                try:
                    connection.execute("PRAGMA journal_mode=WAL")
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)
                else:
                    return


def _sqlite_path(url: URL | str) -> Path:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        # `from None`: the error quotes the URL, which may hold a password
        raise BadDatabaseUrl(_EXPECTED) from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite") or parsed.query or parsed.host:
        raise BadDatabaseUrl(_EXPECTED)
    if not parsed.database or not Path(parsed.database).is_absolute():
        raise BadDatabaseUrl(_EXPECTED)
    path = Path(parsed.database)
    if len(os.fsencode(path)) > _SQLITE_PATH_BYTES:
        raise StateDirUnusable(path.parent, f"its path is too long: SQLite takes {_SQLITE_PATH_BYTES} bytes")
    return path


def _create_file(path: Path) -> None:
    # Without this SQLite would make it, and its -wal and -shm files, as the umask says
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def _begin(connection: Connection) -> None:
    kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {kind}")


@contextlib.contextmanager
def _mapped() -> Generator[None, None, None]:
    try:
        yield
    except (exc.IntegrityError, exc.ProgrammingError, exc.DataError):
        raise
    except exc.DBAPIError as error:
        raise DatabaseUnavailable(reason=str(error.orig)) from error
    except (exc.TimeoutError, sqlite3.DatabaseError, OSError) as error:
        raise DatabaseUnavailable(reason=str(error)) from error
