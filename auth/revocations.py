"""Revocations: tokens that were ended before their time, and the snapshot of all that can void a token."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct
from sqlalchemy import delete, insert, select

from auth.database import Database
from auth.schema import revoked_tokens, users
from auth.tokens import Claims
from auth.users import User, user_of


class Revocable(Protocol):
    """What is noted of a token that was ended. `expires_at`: seconds since the epoch."""

    @property
    def token_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def expires_at(self) -> int: ...


class UserState(Struct, frozen=True):
    """What of a user concerns his tokens."""

    generation: int
    disabled: bool


class Snapshot(Struct, frozen=True):
    """All users, by id, and the ids of all revoked tokens that have not expired, at one moment."""

    users: dict[str, UserState]
    revoked: frozenset[str]


class Revocations:
    """The table of revoked tokens. Every method raises DatabaseUnavailable; the database belongs to the caller."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tokens: Iterable[Revocable]) -> None:
        """Revokes them for good, all or none. Those that are revoked already stay so."""
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            # Look first: to insert or ignore is written differently in every database. The write lock is held.
            for token in tokens:
                known = select(revoked_tokens.c.token_id).where(revoked_tokens.c.token_id == token.token_id)
                if connection.execute(known).first() is None:
                    connection.execute(
                        insert(revoked_tokens).values(
                            token_id=token.token_id,
                            user_id=token.user_id,
                            expires_at=_moment(token.expires_at),
                            revoked_at=now,
                        )
                    )

    def user_in_force(self, claims: Claims) -> User | None:
        """The token's user, if the token counts at this moment; None if it was revoked, or its user has a newer
        generation, is disabled or gone. What a front knows may be a second old: too old for a token that begets one."""
        revoked = select(revoked_tokens.c.token_id).where(revoked_tokens.c.token_id == claims.token_id)
        with self._database.reading() as connection:
            row = connection.execute(select(users).where(users.c.id == claims.user_id)).one_or_none()
            gone = row is None or row.disabled or row.generation != claims.generation
            if row is None or gone or connection.execute(revoked).first() is not None:
                return None
        return user_of(row)

    def read(self, now: float) -> Snapshot:
        """The snapshot, in one transaction. `now`: seconds since the epoch."""
        with self._database.reading() as connection:
            states = connection.execute(select(users.c.id, users.c.generation, users.c.disabled))
            known = {row.id: UserState(row.generation, row.disabled) for row in states}
            tokens = select(revoked_tokens.c.token_id).where(revoked_tokens.c.expires_at > _moment(now))
            return Snapshot(known, frozenset(connection.scalars(tokens)))

    def purge(self, now: float) -> int:
        """Forgets tokens that have expired by `now` (seconds since the epoch); how many."""
        with self._database.writing() as connection:
            return connection.execute(
                delete(revoked_tokens).where(revoked_tokens.c.expires_at <= _moment(now))
            ).rowcount


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
