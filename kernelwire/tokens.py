"""`kernelwire token`: long-lived tokens of any user of a state directory, from a terminal or a script."""

import contextlib
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

from auth import bootstrap, secret
from auth.database import Database, default_url
from auth.errors import BadTokenRequest, UserNotFound
from auth.revocations import Revocations
from auth.script_tokens import ScriptToken, ScriptTokens, Wanted
from auth.settings import AuthSettings
from auth.tokens import TokenSigner
from auth.users import User, Users
from kernelwire.errors import Failed

PAGE = 100


class TokenDesk:
    """Makes, lists and revokes tokens beside the service; a service that runs knows of it within a second.

    Every method raises AuthError.
    """

    def __init__(self, state_dir: Path, database: Database, settings: AuthSettings) -> None:
        self._users = Users(database)
        self._tokens = ScriptTokens(database, settings)
        self._revocations = Revocations(database)
        self._signer = TokenSigner(secret.load(state_dir))

    def create(self, user: str, wanted: Wanted) -> tuple[str, str]:
        """The token, shown this once, and its id. Raises Failed for a disabled user."""
        owner = self._user(user)
        if owner.disabled:
            raise Failed(f"user {owner.name} is disabled: `kernelwire user enable {owner.name}` first")
        claims = self._tokens.create(owner.id, wanted, time.time())
        return self._signer.sign(claims), claims.token_id

    def lines(self, user: str) -> list[str]:
        """One line a valid token, oldest first: id, name, scopes, created, expires; tabs between."""
        owner, now = self._user(user), time.time()
        found: list[str] = []
        after: str | None = None
        while True:
            page = self._tokens.page(owner.id, now, PAGE, after)
            found += [_line(token) for token in page.tokens]
            after = page.after
            if after is None:
                return found

    def revoke(self, user: str, token_id: str) -> None:
        """Raises Failed if `user` has no such token."""
        owner = self._user(user)
        try:
            token = self._tokens.get(owner.id, token_id, time.time())
        except BadTokenRequest:
            words = f"user {owner.name} has no valid token with this id: `kernelwire token list {owner.name}`"
            raise Failed(words) from None
        self._revocations.add([token])

    def _user(self, name: str) -> User:
        found = self._users.get(name)
        if found is None:
            raise UserNotFound(name)
        return found


@contextlib.contextmanager
def opened(state_dir: Path, settings: AuthSettings) -> Generator[TokenDesk]:
    """The tokens of `state_dir`, which is made if need be. Raises AuthError."""
    bootstrap.bootstrap(state_dir, settings)
    with contextlib.closing(Database(settings.database_url or default_url(state_dir))) as database:
        yield TokenDesk(state_dir, database, settings)


def _line(token: ScriptToken) -> str:
    times = (datetime.fromtimestamp(at, UTC) for at in (token.created_at, token.expires_at))
    return "\t".join(
        [token.token_id, token.name or "-", " ".join(token.scopes), *(f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in times)]
    )
