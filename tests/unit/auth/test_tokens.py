import base64
import hashlib
import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer
from itsdangerous.encoding import base64_encode

from auth import tokens
from auth.errors import Forbidden, InvalidToken
from auth.secret import Keys
from auth.tokens import MAX_CHARS, Claims, TokenSigner

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
NOW = 1_800_000_000
CLAIMS = Claims("t1", "0123456789abcdef", "ada", "h0000000.s", "python3", ("evaluate", "read"), 3, NOW, NOW + 100)


def signer(*keys: bytes, now: float = NOW) -> TokenSigner:
    return TokenSigner(Keys(keys or (NEW,)), lambda: now)


def reason(text: str | None, by: TokenSigner | None = None) -> str:
    with pytest.raises(InvalidToken) as caught:
        (by or signer()).unsign(text)
    assert text is None or len(text) < 8 or text not in repr(caught.value) + str(caught.value)
    return caught.value.reason


TOKEN = signer().sign(CLAIMS)


def test_a_token_gives_its_claims_back() -> None:
    assert TOKEN.startswith("kw_")
    assert len(TOKEN) < 250
    assert signer().unsign(TOKEN) == CLAIMS


def test_absent_facts_and_unicode_survive() -> None:
    claims = msgspec.structs.replace(CLAIMS, session=None, kernel="Ядро 🐍", scopes=())
    assert signer().unsign(signer().sign(claims)) == claims


def test_the_newest_key_signs_and_all_verify() -> None:
    by_old = signer(OLD).sign(CLAIMS)
    rotated = signer(OLD, NEW)
    assert rotated.unsign(by_old) == CLAIMS
    assert rotated.sign(CLAIMS) == TOKEN
    assert reason(by_old, signer(NEW)) == "malformed"
    assert reason(TOKEN, signer(OTHER)) == "malformed"


def test_a_token_that_was_seen_before_expires_all_the_same() -> None:
    now = float(NOW)
    by = TokenSigner(Keys((NEW,)), lambda: now)
    assert by.unsign(TOKEN) is by.unsign(TOKEN)
    now = NOW + 100
    assert reason(TOKEN, by) == "expired"
    assert reason(TOKEN, by) == "expired"


def test_one_that_was_seen_makes_no_other_one_good() -> None:
    by = signer()
    by.unsign(TOKEN)
    for text in (TOKEN + "A", TOKEN[:-1], TOKEN.upper(), "kw_" + TOKEN):
        assert reason(text, by) == "malformed"
    assert by.unsign(TOKEN) == CLAIMS


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "KNOWN", 2)
    by = signer()
    made = [msgspec.structs.replace(CLAIMS, token_id=f"t{number}") for number in range(5)]
    assert [by.unsign(by.sign(claims)) for claims in made] == made
    seen = [by.unsign(by.sign(claims)) for claims in made]
    # of the last two some are still the same objects, of the first ones none
    assert sum(by.unsign(by.sign(claims)) is old for claims, old in zip(made, seen, strict=True)) <= 2


@pytest.mark.parametrize(("now", "valid"), [(NOW + 99.999, True), (NOW + 100, False), (NOW + 10_000, False), (0, True)])
def test_the_instant_of_expiry(now: float, valid: bool) -> None:
    if valid:
        assert signer(now=now).unsign(TOKEN) == CLAIMS
    else:
        assert reason(TOKEN, signer(now=now)) == "expired"


@pytest.mark.parametrize("text", [None, ""])
def test_missing(text: str | None) -> None:
    assert reason(text) == "missing"


def test_truncated_anywhere() -> None:
    assert {reason(TOKEN[:end]) for end in range(1, len(TOKEN))} == {"malformed"}
    assert {reason(TOKEN[start:]) for start in range(1, len(TOKEN))} == {"malformed"}


def test_any_changed_character_is_noticed() -> None:
    # also in the last one, whose lowest bits base64 does not use
    for position, character in enumerate(TOKEN):
        for other in "Ab-_.!":
            if other != character:
                assert reason(TOKEN[:position] + other + TOKEN[position + 1 :]) == "malformed"


def test_there_is_one_text_a_token() -> None:
    # base64 decoders are lenient: each of these decodes to the same signature
    body, signature = TOKEN.rsplit(".", 1)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bits = last[last.index(signature[-1]) + 1]
    variants = [
        TOKEN + "=",
        TOKEN + "!",
        f"{body}.{signature[:9]}*{signature[9:]}",
        f"{body}.{signature[:-1]}{same_bits}",
    ]
    assert base64.urlsafe_b64decode(f"{signature[:-1]}{same_bits}=") == base64.urlsafe_b64decode(signature + "=")
    assert {reason(text) for text in variants} == {"malformed"}


def test_a_payload_under_another_signature() -> None:
    other = signer().sign(msgspec.structs.replace(CLAIMS, user_id="fedcba9876543210"))
    assert reason(other.rsplit(".", 1)[0] + "." + TOKEN.rsplit(".", 1)[1]) == "malformed"


def signed(
    payload: bytes, salt: bytes = b"kernelwire.token.1", digest: object = hashlib.sha256, prefix: str = "kw_"
) -> str:
    made = Signer(NEW, salt=salt, key_derivation="hmac", digest_method=digest)
    return made.sign(prefix.encode() + base64_encode(payload)).decode()


def test_other_salts_digests_and_prefixes() -> None:
    payload = msgspec.msgpack.encode(CLAIMS)
    assert signed(payload) == TOKEN
    assert reason(signed(payload, salt=b"kernelwire.token.2")) == "malformed"
    assert reason(signed(payload, prefix="gh_")) == "malformed"
    assert reason(signed(payload, digest=hashlib.sha1)) == "malformed"
    assert reason(signed(payload, digest=hashlib.sha512)) == "malformed"
    # the prefix is signed too
    assert reason("kw_" + signed(payload, prefix="")) == "malformed"


def test_algorithm_confusion() -> None:
    body = TOKEN.rsplit(".", 1)[0]
    bare = base64_encode(hashlib.sha256(body.encode()).digest()).decode()
    with_key = base64_encode(hmac.digest(NEW, body.encode(), "sha256")).decode()
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for text in (
        f"{body}.{bare}",
        f"{body}.{with_key}",
        f"{body}.",
        body,
        f"{header}.{body[3:]}.",
        f"kw_{header}.{body[3:]}.",
    ):
        assert reason(text) == "malformed"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x90",
        msgspec.msgpack.encode(CLAIMS)[:-1],
        msgspec.msgpack.encode([1] * 9),
        b"\x91" * 3000,
        b"{}",
    ],
)
def test_signed_rubbish_of_another_version(payload: bytes) -> None:
    assert reason(signed(payload)) == "malformed"


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.replace("kw_", "KW_"),
        "kw_" + "é" * 50 + TOKEN[-44:],
        "kw_\udcff.\udcff",
        "kw_" + "１" * 10 + TOKEN[-44:],
        "Bearer " + TOKEN,
        "kw_." + TOKEN[-43:],
        "kw_" + "." * 300,
    ],
)
def test_hostile_texts(text: str) -> None:
    assert reason(text) == "malformed"


LONG = "A" * 1_000_000


@pytest.mark.parametrize(
    "text", [LONG, "kw_" + LONG, f"kw_{LONG}.{'A' * 43}", "kw_" + "." * 1_000_000, "\0" * 1_000_000]
)
def test_long_texts_are_not_looked_into(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def unsign(_: Signer, value: str) -> bytes:
        raise AssertionError(f"{len(value)} characters were hashed")

    by = signer()
    monkeypatch.setattr(Signer, "unsign", unsign)
    assert reason(text, by) == "malformed"


def test_claims_too_long_are_not_signed() -> None:
    with pytest.raises(ValueError, match="too long"):
        signer().sign(msgspec.structs.replace(CLAIMS, kernel="k" * MAX_CHARS))


@given(st.text(max_size=300))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    if text:
        assert reason(text) == "malformed"


@given(
    st.builds(
        Claims,
        *[st.text(st.characters(codec="utf-8"), max_size=40)] * 3,
        *[st.none() | st.text(st.characters(codec="utf-8"), max_size=40)] * 2,
        st.lists(st.sampled_from(["evaluate", "read", "manage"])).map(tuple),
        st.integers(0, 2**31),
        st.integers(0, 2**40),
        st.integers(NOW + 1, 2**40),
    )
)
def test_any_claims_come_back(claims: Claims) -> None:
    assert signer().unsign(signer().sign(claims)) == claims


def test_scopes() -> None:
    CLAIMS.require("read")
    with pytest.raises(Forbidden, match="`manage`") as caught:
        CLAIMS.require("manage")
    assert caught.value.scope == "manage"
