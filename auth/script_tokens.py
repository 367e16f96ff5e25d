"""Script tokens: long-lived tokens without a session, known by id so that they can be listed and revoked.

The database has no token, only what was said when it was made. A row counts while its token does: not expired, not
revoked, and its user of the same generation; the others are dead, hidden and at some time removed.
"""

import re
import secrets
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select

from auth.database import Database
from auth.errors import BadTokenRequest, TooManyTokens, UserNotFound
from auth.schema import revoked_tokens, script_tokens, users
from auth.settings import AuthSettings
from auth.tokens import Claims

NAME_EXPECTED = "1 to 64 printable characters"
ID_EXPECTED = "the id of one of the tokens that `list_tokens` shows"
AFTER_EXPECTED = "`after` of the page before"
_NUMBER = re.compile(r"[0-9]{1,18}")
_MAX_NAME = 64


class ScriptToken(Struct, frozen=True):
    """All that is known of one after it was made; times are seconds since the epoch."""

    token_id: str
    user_id: str
    name: str | None
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int


class TokenPage(Struct, frozen=True):
    """`after` leads to the next page; None on the last one."""

    tokens: list[ScriptToken]
    after: str | None


class Wanted(Struct, frozen=True):
    """What a new one is to be. It ends after `expires_in_s` or at `expires_at` (seconds since the epoch); with neither
    after `script_token_lifetime_s`."""

    scopes: tuple[str, ...]
    name: str | None = None
    expires_in_s: float | None = None
    expires_at: float | None = None


class ScriptTokens:
    """The table of script tokens. Every method raises DatabaseUnavailable; the database belongs to the caller.

    `now` is seconds since the epoch everywhere.
    """

    def __init__(self, database: Database, settings: AuthSettings) -> None:
        self._database = database
        self._settings = settings

    def create(self, user_id: str, wanted: Wanted, now: float, generation: int | None = None) -> Claims:
        """Writes one down; the claims are still to be signed. `generation`: which the user must have.

        Raises: BadTokenRequest, TooManyTokens, UserNotFound (or disabled, or of another generation).
        """
        _check_name(wanted.name)
        issued_at, expires_at = int(now), self._expiry(wanted, int(now))
        token_id = secrets.token_hex(8)  # people type it: it must not begin with a hyphen
        with self._database.writing() as connection:
            user = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
            if user is None or user.disabled or generation not in (None, user.generation):
                raise UserNotFound(user_id)
            self._make_room(connection, user_id, now)
            connection.execute(
                insert(script_tokens).values(
                    token_id=token_id,
                    user_id=user_id,
                    name=wanted.name,
                    scopes=" ".join(wanted.scopes),
                    generation=user.generation,
                    created_at=_moment(issued_at),
                    expires_at=_moment(expires_at),
                )
            )
        return Claims(
            token_id=token_id,
            user_id=user_id,
            user=user.name,
            session=None,
            kernel=None,
            scopes=wanted.scopes,
            generation=user.generation,
            issued_at=issued_at,
            expires_at=expires_at,
        )

    def page(self, user_id: str, now: float, limit: int, after: str | None = None) -> TokenPage:
        """The user's tokens that count, oldest first, from behind `after`. Raises: BadTokenRequest (`after`)."""
        if after is not None and _NUMBER.fullmatch(after) is None:
            raise BadTokenRequest("after", AFTER_EXPECTED)
        mine = select(script_tokens).where(script_tokens.c.user_id == user_id, _counts(now))
        behind = mine.where(script_tokens.c.number > int(after or 0)).order_by(script_tokens.c.number)
        with self._database.reading() as connection:
            rows = connection.execute(behind.limit(limit + 1)).all()
        more = str(rows[limit - 1].number) if len(rows) > limit else None
        return TokenPage([_token(row) for row in rows[:limit]], more)

    def get(self, user_id: str, token_id: str, now: float) -> ScriptToken:
        """One of the user's tokens that count. Raises: BadTokenRequest (`token_id`)."""
        one = select(script_tokens).where(
            script_tokens.c.user_id == user_id, script_tokens.c.token_id == token_id, _counts(now)
        )
        with self._database.reading() as connection:
            row = connection.execute(one).one_or_none()
        if row is None:
            raise BadTokenRequest("token_id", ID_EXPECTED)
        return _token(row)

    def purge(self, now: float) -> int:
        """Removes what no longer counts; how many."""
        with self._database.writing() as connection:
            return connection.execute(delete(script_tokens).where(~_counts(now))).rowcount

    def _make_room(self, connection: Connection, user_id: str, now: float) -> None:
        """Removes the user's dead ones. Raises: TooManyTokens."""
        mine = script_tokens.c.user_id == user_id
        connection.execute(delete(script_tokens).where(mine, ~_counts(now)))
        most = self._settings.script_tokens_per_user
        if len(connection.execute(select(script_tokens.c.number).where(mine).limit(most)).all()) >= most:
            raise TooManyTokens(most)

    def _expiry(self, wanted: Wanted, now: int) -> int:
        longest = self._settings.script_token_max_s
        if wanted.expires_in_s is not None:
            if wanted.expires_at is not None:
                raise BadTokenRequest("expires_at", "nothing beside `expires_in_s`")
            if not 1 <= wanted.expires_in_s <= longest:
                raise BadTokenRequest("expires_in_s", f"a number of seconds from 1 to {longest}")
            return now + int(wanted.expires_in_s)
        if wanted.expires_at is not None:
            if not now + 1 <= wanted.expires_at <= now + longest:
                raise BadTokenRequest("expires_at", f"a time to come, at most {longest} s from now")
            return int(wanted.expires_at)
        return now + min(self._settings.script_token_lifetime_s, longest)


def _counts(now: float) -> ColumnElement[bool]:
    """Whether a row's token does."""
    same_generation = (users.c.id == script_tokens.c.user_id) & (users.c.generation == script_tokens.c.generation)
    revoked = revoked_tokens.c.token_id == script_tokens.c.token_id
    return (
        (script_tokens.c.expires_at > _moment(now))
        & select(users.c.id).where(same_generation).correlate(script_tokens).exists()
        & ~select(revoked_tokens.c.token_id).where(revoked).correlate(script_tokens).exists()
    )


def _check_name(name: str | None) -> None:
    # Printable: lists are shown on terminals, one token a line
    if name is not None and not (0 < len(name) <= _MAX_NAME and name.isprintable()):
        raise BadTokenRequest("name", NAME_EXPECTED)


def _token(row: Row[Any]) -> ScriptToken:
    created_at, expires_at = int(row.created_at.timestamp()), int(row.expires_at.timestamp())
    return ScriptToken(row.token_id, row.user_id, row.name, tuple(row.scopes.split()), created_at, expires_at)


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
