"""Settings of users, passwords and tokens."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
# The words `extra` keep a URL, which may hold a password, out of errors and of `kernelwire config`
DatabaseUrl = Annotated[
    str, Meta(min_length=1, description="sqlite:////absolute/path of a file", extra={"secret": True})
]
Rate = Annotated[
    str,
    Meta(
        pattern=r"^(off|[1-9][0-9]{0,5}/([1-9][0-9]{0,3} )?(second|minute|hour|day)s?)$",
        description="a rate such as 20/minute or 20/5 minutes, or off",
    ),
]


class AuthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults serve one machine. Durations are seconds, all positive."""

    token_lifetime_s: Count = 43_200
    """how long a token of `login` is valid"""
    script_token_lifetime_s: Count = 90 * 86_400
    """how long a token of `create_token` is valid when the call does not say"""
    script_token_max_s: Count = 366 * 86_400
    """the longest that a call may ask for"""
    script_tokens_per_user: Count = 100
    """tokens of `create_token` that a user may have at the same time"""
    database_url: DatabaseUrl | None = None
    """`sqlite:////absolute/path`; without it `kernelwire.db` in the state directory"""
    logins_at_once: Count = 2
    """passwords checked at the same time: each takes 19 MiB and a core for some 20 ms"""
    logins_waiting: Annotated[int, Meta(ge=0)] = 64
    """log-ins that may wait for their turn; more get RateLimited"""
    login_failures_per_user: Rate = "40/minute"
    """failed log-ins under one name, whether there is such a user or not; then RateLimited, in each front"""
    login_failures_per_address: Rate = "20/minute"
    """failed log-ins from one address (IPv6: one /64); fewer than a user's, so that one place locks nobody out"""
    revocation_refresh_s: Seconds = 1.0
    """how often revocations and users' states are read; a log-out is known everywhere after this and a query"""
    database_wait_s: Seconds = 5.0
    """bound of every question to the database; then DatabaseUnavailable"""
