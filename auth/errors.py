"""Errors of users, passwords and tokens, by what the caller can do about them.

    AuthError
    +-- LoginFailed                log in with another name or password
    +-- TooManyLogins              log in again after `retry_after_s`
    +-- LoginThrottled             the same, for this name or from this address
    +-- InvalidToken               log in again; `reason` says why
    +-- Forbidden                  use a token that has `scope`
    +-- DatabaseUnavailable        call again after `retry_after_s`; sessions go on meanwhile
    +-- BadTokenRequest            mend `member` of the call
    +-- TooManyTokens              revoke one
    +-- UserExists                 choose another name
    +-- UserNotFound
    +-- BadUserName                mend the name
    +-- BadPassword                choose another password
    +-- StateDirError              for the administrator, at start
    |   +-- StateDirInsecure       `advice` says what to do
    |   +-- StateDirUnusable
    +-- SchemaTooNew               run the newer kernelwire again
    +-- BadDatabaseUrl             mend the setting

Facts are attributes, `str(error)` is a sentence that a user may read. No password and no token is ever a fact.
"""

from pathlib import Path
from typing import Literal

Reason = Literal["missing", "malformed", "expired", "revoked"]

_REASONS: dict[Reason, str] = {
    "missing": "this call needs a token: log in first",
    "malformed": "this is no token of this service",
    "expired": "the token has expired: log in again",
    "revoked": "the token is no longer valid: log in again",
}


class AuthError(Exception):
    """Root of the tree. `str(error)` is a sentence that a user may read."""


class LoginFailed(AuthError):
    """The same words whether the user is unknown or disabled, or the password is wrong."""

    def __init__(self) -> None:
        super().__init__("wrong user name or password")


class TooManyLogins(AuthError):
    def __init__(self, retry_after_s: float = 1.0) -> None:
        super().__init__("too many people are logging in at this moment; try again shortly")
        self.retry_after_s = retry_after_s


class LoginThrottled(AuthError):
    """The same words whether the user exists or not, and whether the name or the address failed too often."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many log-ins have failed; try again in {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class InvalidToken(AuthError):
    def __init__(self, reason: Reason) -> None:
        super().__init__(_REASONS[reason])
        self.reason: Reason = reason


class Forbidden(AuthError):
    def __init__(self, scope: str) -> None:
        super().__init__(f"this token lacks the scope `{scope}`")
        self.scope = scope


class DatabaseUnavailable(AuthError):
    """`reason` is the driver's own sentence: for the log and the administrator, not for clients."""

    def __init__(self, retry_after_s: float = 1.0, reason: str = "") -> None:
        super().__init__("the database of users does not answer; nobody can log in, sessions go on")
        self.retry_after_s = retry_after_s
        self.reason = reason


class BadTokenRequest(AuthError):
    """`member` of a call about script tokens is wrong: `expected` says what would be right."""

    def __init__(self, member: str, expected: str) -> None:
        super().__init__(f"`{member}`: expected {expected}")
        self.member = member
        self.expected = expected


class TooManyTokens(AuthError):
    """`limit` is the setting, `value` its value."""

    def __init__(self, value: int) -> None:
        super().__init__(f"a user may have {value} tokens of create_token at the same time: revoke one")
        self.limit = "script_tokens_per_user"
        self.value = value


class UserExists(AuthError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is a user {name!r} already (upper and lower case are not told apart)")
        self.name = name


class UserNotFound(AuthError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no user {_short(name)}")
        self.name = name


class BadUserName(AuthError):
    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"not a user name: {_short(name)}; expected {expected}")
        self.name = name
        self.expected = expected


class BadPassword(AuthError):
    def __init__(self, expected: str) -> None:
        super().__init__(f"this password cannot be used; expected {expected}")
        self.expected = expected


class StateDirError(AuthError):
    """Something about the state directory must be mended before the service starts."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class StateDirInsecure(StateDirError):
    """`path` (the directory or a file in it) is open to other users: `problem`; `advice` is what to do."""

    def __init__(self, path: Path, problem: str, advice: str) -> None:
        super().__init__(path, f"{path} {problem}: {advice}")
        self.problem = problem
        self.advice = advice


class StateDirUnusable(StateDirError):
    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, f"{path} cannot be used: {problem}")
        self.problem = problem


class SchemaTooNew(AuthError):
    """The database was written by a newer kernelwire. `found` and `known` are schema revisions."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the database has schema {found}, this kernelwire knows it up to {known}: run the newer kernelwire again"
        )
        self.found = found
        self.known = known


class BadDatabaseUrl(AuthError):
    """The URL itself is no fact: it may hold a password."""

    def __init__(self, expected: str) -> None:
        super().__init__(f"`database_url`: expected {expected}")
        self.expected = expected


def _short(text: str) -> str:
    return repr(text) if len(text) <= 80 else f"{text[:60]!r}... ({len(text)} characters)"
