"""Standing: what a front knows, without asking, of whether a signed token still counts."""

from dataclasses import dataclass, field

from auth.revocations import Revocable, Snapshot, UserState
from auth.tokens import Claims
from auth.users import User

# Claims hold whole seconds, so that a token may be up to one younger than it says.
_ROUNDING_S = 1


@dataclass(slots=True)
class _Seen:
    """A user as he was at a log-in here. `during`: the round that was the last to begin before."""

    state: UserState
    during: int


@dataclass(slots=True)
class Standing:
    """The latest snapshot and what was learned here since it was taken. No I/O, one event loop."""

    _snapshot: Snapshot | None = None
    _taken_at: float = 0.0
    _begun: int = 0
    _applied: int = 0
    _seen: dict[str, _Seen] = field(default_factory=dict[str, _Seen])
    _revoked_here: dict[str, int] = field(default_factory=dict[str, int])
    """token id -> expiry; kept until then, so that a log-out here holds whatever the database says"""

    @property
    def known(self) -> bool:
        """Whether there ever was a snapshot."""
        return self._snapshot is not None

    def is_void(self, claims: Claims) -> bool:
        """Whether the token was revoked, or its user has a newer generation, is disabled or gone.

        A user, or a generation, that the snapshot does not have may have come since, through another process: such
        a token counts if it was issued after the snapshot, and else it does not (the user was removed).
        Before the first snapshot a signature is enough, so that sessions outlive a front that is started while the
        database is away.
        """
        if claims.token_id in self._revoked_here:
            return True
        snapshot = self._snapshot
        if snapshot is not None and claims.token_id in snapshot.revoked:
            return True
        user = self._user(claims.user_id)
        if user is not None and claims.generation <= user.generation:
            return user.disabled or claims.generation < user.generation
        return snapshot is not None and claims.issued_at + _ROUNDING_S < self._taken_at

    def see(self, user: User) -> None:
        """This user has just been read from the database."""
        self._seen[user.id] = _Seen(UserState(user.generation, user.disabled), self._begun)

    def revoke(self, token: Revocable) -> None:
        """The token is void here from now on."""
        self._revoked_here[token.token_id] = token.expires_at

    def begin(self) -> int:
        """Call it before a snapshot is taken, and `apply` with its result afterwards, unless that failed."""
        self._begun += 1
        return self._begun

    def apply(self, begun: int, snapshot: Snapshot, taken_at: float) -> None:
        """A snapshot that is older than the present one is dropped. `taken_at`: epoch seconds when taking it began."""
        if begun <= self._applied:
            return
        self._applied, self._snapshot, self._taken_at = begun, snapshot, taken_at
        # A user seen after it began may be newer than what it holds
        self._seen = {user_id: seen for user_id, seen in self._seen.items() if seen.during >= begun}
        self._revoked_here = {token: expiry for token, expiry in self._revoked_here.items() if expiry > taken_at}

    def _user(self, user_id: str) -> UserState | None:
        stored = self._snapshot.users.get(user_id) if self._snapshot is not None else None
        seen = self._seen.get(user_id)
        if seen is None:
            return stored
        return stored if stored is not None and stored.generation > seen.state.generation else seen.state
