"""Tokens: claims that this service signed, readable by anybody, forgeable by nobody without the secret.

    kw_<claims: msgpack, URL-safe base64>.<HMAC-SHA256, URL-safe base64>

The signature covers the prefix too. Signing is itsdangerous' Signer; not its TimestampSigner, as the claims hold
the expiry themselves. A check costs no I/O. The prefix lets secret scanners find a token that leaked.
"""

import hashlib
import re
import time
from collections.abc import Callable

import msgspec
from itsdangerous import BadSignature, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from msgspec import Struct

from auth.errors import Forbidden, InvalidToken
from auth.secret import Keys

Clock = Callable[[], float]
"""seconds since the epoch, as time.time"""

PREFIX = "kw_"
ALL_SCOPES = ("evaluate", "read", "manage")
"""what a user's own token is good for, and what a user may give to others; methods say which one they need"""
ADMIN_SCOPE = "admin"
"""kept for methods that act on other users' things: log-in gives it to nobody, and create_token cannot"""
SCOPES = (*ALL_SCOPES, ADMIN_SCOPE)
"""every scope that a method may need"""
MAX_CHARS = 4096
"""a longer text is no token; real ones have about 250 characters"""
KNOWN = 1024
"""so many tokens are remembered as signed, each by its whole text: a client shows the same one again and again"""

_SALT = b"kernelwire.token.1"
# One text a token: base64 has 43 characters for 32 bytes, of which the last carries only 4 bits.
_TOKEN = re.compile(r"kw_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


class Claims(Struct, frozen=True, array_like=True):
    """What a token says. Grows only at the end, with defaults; else the salt changes its number."""

    token_id: str
    user_id: str
    user: str
    """the user's name when the token was issued"""
    session: str | None
    kernel: str | None
    scopes: tuple[str, ...]
    generation: int
    """the user's at that time; a password change raises the user's, and this token is void"""
    issued_at: int
    """seconds since the epoch"""
    expires_at: int
    """seconds since the epoch; at this very second the token is expired"""

    def require(self, scope: str) -> None:
        """Raises: Forbidden unless the token has `scope`."""
        if scope not in self.scopes:
            raise Forbidden(scope)


class TokenSigner:
    """Signs with the newest key, verifies with all. No I/O; may be shared between threads."""

    def __init__(self, keys: Keys, clock: Clock = time.time) -> None:
        self._signer = _signer(keys)
        self._decoder = msgspec.msgpack.Decoder(Claims)
        self._clock = clock
        self._known: dict[str, Claims] = {}

    def replace(self, keys: Keys) -> None:
        """Go on with other keys: tokens of those that are gone are no tokens any more."""
        self._signer = _signer(keys)
        self._known.clear()

    def sign(self, claims: Claims) -> str:
        """The token. Raises: ValueError if it would be longer than MAX_CHARS."""
        token = self._signer.sign(PREFIX.encode() + base64_encode(msgspec.msgpack.encode(claims))).decode()
        if len(token) > MAX_CHARS:
            raise ValueError(f"claims too long: a token has at most {MAX_CHARS} characters")
        return token

    def unsign(self, text: str | None) -> Claims:
        """The claims of a token that is ours and has not expired; whether it was revoked is not known here.

        Raises: InvalidToken (missing: None or empty; malformed; expired).
        """
        if not text:
            raise InvalidToken("missing")
        claims = self._known.get(text) or self._verified(text)
        if self._clock() >= claims.expires_at:
            self._known.pop(text, None)
            raise InvalidToken("expired")
        return claims

    def _verified(self, text: str) -> Claims:
        # The length first: what a stranger sends costs nothing before it looks like a token.
        if len(text) > MAX_CHARS or _TOKEN.fullmatch(text) is None:
            raise InvalidToken("malformed")
        try:
            value = self._signer.unsign(text)
            claims = self._decoder.decode(base64_decode(value[len(PREFIX) :]))
        except (BadSignature, msgspec.MsgspecError):
            # `from None`: these errors carry the text in their messages
            raise InvalidToken("malformed") from None
        # Only what was signed gets here, so that no stranger can fill it or push others out
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[text] = claims
        return claims


def _signer(keys: Keys) -> Signer:
    return Signer(keys.keys, salt=_SALT, key_derivation="hmac", digest_method=hashlib.sha256)
