"""Passwords: argon2id hashes of them and the checking of one against another.

Parameters are OWASP's (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.

A password is prepared as RFC 8265's OpaqueString asks, but for one point: every kind of space becomes U+0020, case
and everything else stays; the normalisation is NFKC, as NIST SP 800-63B asks, in place of NFC, since keyboards
differ in whether they give compatibility forms (full-width letters, ligatures).
"""

import unicodedata

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerificationError

from auth.errors import BadPassword

MIN_CODE_POINTS = 8
MAX_CODE_POINTS = 1024
EXPECTED = f"{MIN_CODE_POINTS} to {MAX_CODE_POINTS} characters of valid Unicode text, none of them a control character"

_hasher = PasswordHasher(
    time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID, encoding="utf-8"
)

# The hash of random bytes that were thrown away. It is verified where there is no hash, for the same cost.
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$Ix3angP+4lQ/KXMjuzflag$5q7oB8N12TObqSaQDAq0OBwfMwJ4+bo1vH8WRS5xTfM"


def hash(password: str) -> str:
    """The argon2id hash, with its parameters, of a new password. Takes some 20 ms and 19 MiB.

    Raises: BadPassword.
    """
    if not MIN_CODE_POINTS <= len(password) <= MAX_CODE_POINTS:
        raise BadPassword(EXPECTED)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password):
        raise BadPassword(EXPECTED)
    return rehash(password)


def rehash(password: str) -> str:
    """As `hash`, for a password that was accepted once: today's rules for new ones do not concern it."""
    return _hasher.hash(_prepare(password))


def verify(stored: str | None, password: str) -> bool:
    """Whether `password` is the one that `stored` is the hash of. Never raises for what a stranger may send.

    With None, and for a password that is too long to be anybody's, the same work is done in vain: an unknown user
    costs what a wrong password costs. A broken `stored` is False.
    """
    if stored is None or len(password) > MAX_CODE_POINTS:
        _matches(NOBODY, b"")
        return False
    return _matches(stored, _prepare(password))


def needs_rehash(stored: str) -> bool:
    """Whether `stored` was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def _matches(stored: str, prepared: bytes) -> bool:
    try:
        return _hasher.verify(stored, prepared)
    except (VerificationError, ValueError):  # ValueError: `stored` is no hash, or not even ASCII
        return False


def _prepare(password: str) -> bytes:
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    # Lone surrogates: no stored password has one, so that this one is wrong, as any other.
    return unicodedata.normalize("NFKC", spaced).encode("utf-8", "surrogatepass")
