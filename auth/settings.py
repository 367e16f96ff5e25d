"""Settings of users, passwords and tokens."""

from msgspec import Struct


class AuthSettings(Struct, frozen=True):
    """Defaults serve one machine. Durations are seconds, all positive."""

    token_lifetime_s: int = 43_200
    """how long a token of `login` is valid"""
    database_url: str | None = None
    """`sqlite:////absolute/path`; None: `kernelwire.db` in the state directory"""
    logins_at_once: int = 2
    """passwords checked at the same time: each takes 19 MiB and a core for some 20 ms"""
    logins_waiting: int = 64
    """log-ins that may wait for their turn; more get TooManyLogins"""
    revocation_refresh_s: float = 1.0
    """how often revocations and users' states are read; a log-out is known everywhere after this and a query"""
    database_wait_s: float = 5.0
    """bound of every question to the database; then DatabaseUnavailable"""
