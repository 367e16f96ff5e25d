"""Users, as the database knows them. Synchronous: the front asks from a thread, the command line directly.

Names are unique without regard to case, and found so: "Admin" cannot be taken beside "admin", whoever types
"ADMIN" means it. A name is shown as it was given when the user was added.
"""

import re
import secrets
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from auth.database import Database
from auth.errors import BadUserName, UserExists, UserNotFound
from auth.schema import users

NAME_EXPECTED = "1 to 64 letters of a-z and A-Z, digits, and . _ @ -, not beginning with a dot or a hyphen"
_NAME = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9._@-]{0,63}")


class User(Struct, frozen=True):
    """A user without the secrets. `id` is opaque, stays for life and is never given to another."""

    id: str
    name: str
    disabled: bool
    generation: int
    """starts at 1; raised by a new password, which voids all tokens of lower ones"""
    created_at: datetime


class Credentials(Struct, frozen=True):
    """A user and the hash of the password. The hash stays out of repr, and so of logs and tracebacks."""

    user: User
    password_hash: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r}, password_hash=hidden)"


def is_name(text: str) -> bool:
    """Whether `text` can be a user's name (NAME_EXPECTED)."""
    return _NAME.fullmatch(text) is not None


class Users:
    """The table of users. Every method raises DatabaseUnavailable; the database belongs to the caller."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, password_hash: str) -> User:
        """The new user. Raises: BadUserName, UserExists."""
        if not is_name(name):
            raise BadUserName(name, NAME_EXPECTED)
        user = User(secrets.token_hex(8), name, disabled=False, generation=1, created_at=datetime.now(UTC))
        row = insert(users).values(
            id=user.id,
            name=name,
            name_key=name.lower(),
            password_hash=password_hash,
            generation=user.generation,
            disabled=user.disabled,
            created_at=user.created_at,
        )
        try:
            with self._database.writing() as connection:
                connection.execute(row)
        except IntegrityError:
            raise UserExists(name) from None
        return user

    def set_password(self, name: str, password_hash: str) -> None:
        """A new password, which ends all tokens of the user. Raises: UserNotFound."""
        self._change(name, password_hash=password_hash, generation=users.c.generation + 1)

    def set_disabled(self, name: str, disabled: bool) -> None:
        """A disabled user cannot log in and has no valid token. Raises: UserNotFound."""
        self._change(name, disabled=disabled)

    def end_tokens(self, user_id: str, generation: int) -> User | None:
        """Ends all tokens of the user; he as he is then. None, and nothing is done, if he is gone or disabled or has
        another generation already."""
        with self._database.writing() as connection:
            raised = connection.execute(
                update(users)
                .where(users.c.id == user_id, users.c.generation == generation, users.c.disabled.is_(False))
                .values(generation=generation + 1)
            )
            if raised.rowcount == 0:
                return None
            return user_of(connection.execute(select(users).where(users.c.id == user_id)).one())

    def remove(self, name: str) -> None:
        """His tokens are no longer valid. Raises: UserNotFound."""
        _must_be_name(name)
        with self._database.writing() as connection:
            removed = connection.execute(delete(users).where(users.c.name_key == name.lower()))
        if removed.rowcount == 0:
            raise UserNotFound(name)

    def replace_hash(self, credentials: Credentials, password_hash: str) -> None:
        """The same password, hashed anew; tokens stay. Nothing happens if the hash has changed meanwhile."""
        with self._database.writing() as connection:
            connection.execute(
                update(users)
                .where(users.c.id == credentials.user.id, users.c.password_hash == credentials.password_hash)
                .values(password_hash=password_hash)
            )

    def get(self, name: str) -> User | None:
        """The user of that name, in whatever case; None if there is none."""
        found = self.credentials(name)
        return found and found.user

    def get_by_id(self, user_id: str) -> User | None:
        with self._database.reading() as connection:
            row = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
        return None if row is None else user_of(row)

    def credentials(self, name: str) -> Credentials | None:
        """As `get`, with the hash. Any text may be asked for."""
        if not is_name(name):
            return None
        with self._database.reading() as connection:
            row = connection.execute(select(users).where(users.c.name_key == name.lower())).one_or_none()
        return None if row is None else Credentials(user_of(row), row.password_hash)

    def all(self) -> list[User]:
        """Every user, by name."""
        with self._database.reading() as connection:
            return [user_of(row) for row in connection.execute(select(users).order_by(users.c.name_key))]

    def is_empty(self) -> bool:
        with self._database.reading() as connection:
            return connection.execute(select(users.c.id).limit(1)).first() is None

    def _change(self, name: str, **values: Any) -> None:
        _must_be_name(name)
        with self._database.writing() as connection:
            changed = connection.execute(update(users).where(users.c.name_key == name.lower()).values(**values))
        if changed.rowcount == 0:
            raise UserNotFound(name)


def _must_be_name(text: str) -> None:
    # What is no name has no user; nor may it reach the driver, which chokes on lone surrogates
    if not is_name(text):
        raise UserNotFound(text)


def user_of(row: Row[Any]) -> User:
    """The user of a row of the table."""
    return User(row.id, row.name, row.disabled, row.generation, row.created_at)
