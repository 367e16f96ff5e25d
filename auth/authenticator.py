"""The authenticator: log-in, tokens and log-out for a front. Everything but log-in and log-out is free of I/O."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from auth import passwords
from auth.database import Database, default_url
from auth.errors import (
    DatabaseUnavailable,
    InvalidToken,
    LoginFailed,
    StateDirError,
    TooManyLogins,
    UserNotFound,
)
from auth.password_checker import PasswordChecker
from auth.revocations import Revocable, Revocations
from auth.script_tokens import ScriptTokens, TokenPage, Wanted
from auth.secret import KeyFile, Keys
from auth.settings import AuthSettings
from auth.standing import Standing
from auth.throttle import LoginThrottle
from auth.tokens import ALL_SCOPES, Claims, Clock, TokenSigner
from auth.users import Credentials, User, Users

T = TypeVar("T")

_log = logging.getLogger(__name__)
_DATABASE_THREADS = 4
_KEYS_S = 1.0
"""how often the file of the keys is looked at"""


class Authenticator:
    """One for each front, in one event loop. Close it: it owns threads and, from then on, the database.

    The owner runs `watch` as a task, best after one `refresh`, and cancels it before `close`.
    """

    def __init__(
        self,
        keys: Keys,
        database: Database,
        settings: AuthSettings | None = None,
        clock: Clock = time.time,
        key_file: KeyFile | None = None,
    ) -> None:
        """`key_file`: where `keys` are from; `watch` then takes those that replace them."""
        self._settings = settings or AuthSettings()
        self._clock = clock
        self._signer = TokenSigner(keys, clock)
        self._key_file = key_file
        self._throttle = LoginThrottle(
            self._settings.login_failures_per_user, self._settings.login_failures_per_address, clock
        )
        self._database = database
        self._users = Users(database)
        self._revocations = Revocations(database)
        self._script_tokens = ScriptTokens(database, self._settings)
        self._passwords = PasswordChecker(self._settings.logins_at_once, self._settings.logins_waiting)
        self._threads = ThreadPoolExecutor(_DATABASE_THREADS, thread_name_prefix="auth-database")
        self._standing = Standing()
        self._unwritten: dict[str, Revocable] = {}
        self._database_up: bool | None = None

    @classmethod
    def open(cls, state_dir: Path, settings: AuthSettings | None = None) -> "Authenticator":
        """For a state directory that `bootstrap` has made. Reads the secret; connects to nothing yet.

        Raises: StateDirInsecure, StateDirUnusable, BadDatabaseUrl.
        """
        settings = settings or AuthSettings()
        database = Database(settings.database_url or default_url(state_dir))
        key_file = KeyFile(state_dir)
        return cls(key_file.keys, database, settings, key_file=key_file)

    @property
    def database_up(self) -> bool:
        """Whether the last refresh worked; False before the first."""
        return self._database_up is True

    @property
    def knows_revocations(self) -> bool:
        """Whether a refresh ever worked. Until then `check` goes by signature and expiry, and by log-outs here."""
        return self._standing.known

    async def log_in(self, username: str, password: str, address: str = "") -> User:
        """The user, whose tokens count here from now on. `address`: of the client, for the throttle.

        Raises: LoginFailed (same words and same work whether the user is unknown or disabled, or the password is
        wrong), LoginThrottled, TooManyLogins, DatabaseUnavailable (within `database_wait_s`).
        """
        self._throttle.check(username, address)
        found = await self._ask(lambda: self._users.credentials(username))
        matches = await self._passwords.verify(found and found.password_hash, password)
        # Once more: of many tries at the same time those beyond the limit must not learn what they came to
        self._throttle.check(username, address)
        if found is None or not matches or found.user.disabled:
            self._throttle.failed(username, address)
            raise LoginFailed
        if passwords.needs_rehash(found.password_hash):
            await self._rehash(found, password)
        self._standing.see(found.user)
        return found.user

    async def find_user(self, name: str) -> User | None:
        """The user of that name, in whatever case; None if there is none. Raises: DatabaseUnavailable."""
        return await self._ask(lambda: self._users.get(name))

    def issue(
        self, user: User, session: str | None, kernel: str | None, scopes: tuple[str, ...] = ALL_SCOPES
    ) -> tuple[str, Claims]:
        """A new token and what it says; valid for `token_lifetime_s`. No I/O. Raises: ValueError (ids too long)."""
        now = int(self._clock())
        claims = Claims(
            token_id=secrets.token_urlsafe(12),
            user_id=user.id,
            user=user.name,
            session=session,
            kernel=kernel,
            scopes=scopes,
            generation=user.generation,
            issued_at=now,
            expires_at=now + self._settings.token_lifetime_s,
        )
        return self._signer.sign(claims), claims

    def check(self, token: str | None) -> Claims:
        """What a valid token says. No I/O, some 8 us; safe with whatever a stranger sends.

        Raises: InvalidToken (missing, malformed, expired, revoked).
        """
        claims = self._signer.unsign(token)
        if self._standing.is_void(claims):
            raise InvalidToken("revoked")
        return claims

    async def renew(self, claims: Claims) -> tuple[str, Claims]:
        """A new token that says the same, valid for `token_lifetime_s` from now; the old one goes on until it expires.

        The database is asked: a removed user must not live on from token to token.
        Raises: InvalidToken (revoked), DatabaseUnavailable.
        """
        user = await self._ask(lambda: self._revocations.user_in_force(claims))
        if user is None:
            raise InvalidToken("revoked")
        return self.issue(user, claims.session, claims.kernel, claims.scopes)

    async def end_all(self, claims: Claims) -> None:
        """Ends all tokens of this token's user, script tokens too: here at once, at other fronts after their next
        refresh. Raises: InvalidToken (revoked), DatabaseUnavailable: nothing has ended.
        """
        user = await self._ask(lambda: self._users.end_tokens(claims.user_id, claims.generation))
        if user is None:
            raise InvalidToken("revoked")
        self._standing.see(user)

    async def create_script_token(self, holder: Claims, wanted: Wanted) -> tuple[str, Claims]:
        """A new long-lived token of the holder's user, shown this once, and what it says.

        Raises: Forbidden (a scope that the holder lacks), BadTokenRequest, TooManyTokens, InvalidToken (revoked),
        DatabaseUnavailable.
        """
        for scope in wanted.scopes:
            holder.require(scope)
        if await self._ask(lambda: self._revocations.user_in_force(holder)) is None:
            raise InvalidToken("revoked")
        now = self._clock()
        try:
            claims = await self._ask(lambda: self._script_tokens.create(holder.user_id, wanted, now, holder.generation))
        except UserNotFound:
            raise InvalidToken("revoked") from None
        return self._signer.sign(claims), claims

    async def script_tokens(self, holder: Claims, limit: int, after: str | None = None) -> TokenPage:
        """The tokens of the holder's user that count, oldest first. Raises: BadTokenRequest, DatabaseUnavailable."""
        now = self._clock()
        return await self._ask(lambda: self._script_tokens.page(holder.user_id, now, limit, after))

    async def revoke_script_token(self, holder: Claims, token_id: str) -> None:
        """As `revoke`, for a script token of the holder's user. Raises: BadTokenRequest (`token_id`)."""
        now = self._clock()
        await self.revoke(await self._ask(lambda: self._script_tokens.get(holder.user_id, token_id, now)))

    async def revoke(self, token: Revocable) -> None:
        """The token is refused here at once, by other fronts after their next refresh.

        Raises: DatabaseUnavailable: it is refused here, and will be elsewhere once the database is back (`refresh`
        writes it down then).
        """
        self._standing.revoke(token)
        self._unwritten[token.token_id] = token
        await self._write_down()

    async def refresh(self) -> None:
        """Reads what voids tokens; then writes down the log-outs that the database was not there for.

        Raises: DatabaseUnavailable (logged once for each time that it goes away); the last known state stays.
        """
        try:
            begun, now = self._standing.begin(), self._clock()
            snapshot = await self._ask(lambda: self._revocations.read(now))
            self._standing.apply(begun, snapshot, now)
            # After the reading: a full disk refuses to write, and must not keep other log-outs from being known
            if self._unwritten:
                await self._write_down()
        except DatabaseUnavailable as error:
            if self._database_up is not False:
                _log.warning("database_away reason=%r", error.reason)
            self._database_up = False
            raise
        if self._database_up is False:
            _log.info("database_back")
        self._database_up = True

    async def watch(self) -> None:
        """Refreshes every `revocation_refresh_s` until it is cancelled, whether the database is there or away, and
        takes keys that were replaced.

        Any other end is a fault of the program: the owner must not go on without it.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._refreshing(), name="revocations")
            tasks.create_task(self._watching_keys(), name="keys")

    def take_keys(self) -> None:
        """Go on with the keys in the file, if they are others. What is no file of keys changes nothing."""
        if self._key_file is None:
            return
        try:
            keys = self._key_file.changed()
        except StateDirError as error:
            _log.error("keys_kept reason=%s", error)
            return
        if keys is not None:
            self._signer.replace(keys)
            _log.info("keys_taken count=%d", len(keys.keys))

    async def _refreshing(self) -> None:
        while True:
            with contextlib.suppress(DatabaseUnavailable):
                await self.refresh()
            await asyncio.sleep(self._settings.revocation_refresh_s)

    async def _watching_keys(self) -> None:
        """Apart from the database, which may take its time to answer."""
        while True:
            self.take_keys()
            await asyncio.sleep(min(_KEYS_S, self._settings.revocation_refresh_s))

    async def close(self) -> None:
        """Ends threads and connections, within `database_wait_s` and the time of a hash. Idempotent."""
        await self._passwords.close()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._database.close()

    async def _write_down(self) -> None:
        batch = list(self._unwritten.values())
        await self._ask(lambda: self._revocations.add(batch))
        for token in batch:
            self._unwritten.pop(token.token_id, None)

    async def _rehash(self, found: Credentials, password: str) -> None:
        try:
            renewed = await self._passwords.rehash(password)
            await self._ask(lambda: self._users.replace_hash(found, renewed))
        except (TooManyLogins, DatabaseUnavailable) as error:
            # The log-in has succeeded; the next one tries again
            _log.warning("rehash_failed error=%s", type(error).__name__)

    async def _ask(self, question: Callable[[], T]) -> T:
        """The answer of a thread. SQLite waits for locks for less than the bound, so that threads do come back."""
        job = self._threads.submit(question)
        try:
            async with asyncio.timeout(self._settings.database_wait_s):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise DatabaseUnavailable(reason="no answer in time") from None
