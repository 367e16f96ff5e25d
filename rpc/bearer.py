"""The Authorization header. RFC 6750, section 2.1; `token` beside `Bearer` as in Jupyter Server."""

from collections.abc import Sequence

from auth.errors import InvalidToken

_SCHEMES = frozenset({"bearer", "token"})


def parse(headers: Sequence[str]) -> str | None:
    """The token in the Authorization headers of one request, None if there is no such header.

    Raises InvalidToken (malformed) for another scheme, no token, or several headers.
    """
    if not headers:
        return None
    if len(headers) > 1:
        raise InvalidToken("malformed")
    scheme, _, token = headers[0].strip().partition(" ")
    token = token.strip()
    if scheme.lower() not in _SCHEMES or not token or " " in token:
        raise InvalidToken("malformed")
    return token


def challenge(error: InvalidToken) -> str:
    """The WWW-Authenticate header of a 401. RFC 6750, section 3."""
    return f'Bearer realm="kernelwire", error="invalid_token", error_description="{error.reason}"'
