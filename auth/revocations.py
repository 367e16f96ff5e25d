"""Revocations: tokens that were ended before their time, and the snapshot of all that can void a token."""

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct
from sqlalchemy import delete, insert, select

from auth.database import Database
from auth.schema import revoked_tokens, users
from auth.tokens import Claims


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

    def add(self, tokens: Iterable[Claims]) -> None:
        """Revokes them for good, all or none. Those that are revoked already stay so."""
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            # Look first: to insert or ignore is written differently in every database. The write lock is held.
            for claims in tokens:
                known = select(revoked_tokens.c.token_id).where(revoked_tokens.c.token_id == claims.token_id)
                if connection.execute(known).first() is None:
                    connection.execute(
                        insert(revoked_tokens).values(
                            token_id=claims.token_id,
                            user_id=claims.user_id,
                            expires_at=_moment(claims.expires_at),
                            revoked_at=now,
                        )
                    )

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
