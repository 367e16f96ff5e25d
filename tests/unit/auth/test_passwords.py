import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from auth import passwords
from auth.errors import BadPassword

PASSWORD = "correct horse"
STORED = passwords.hash(PASSWORD)


def test_owasp_parameters() -> None:
    # Password Storage Cheat Sheet: argon2id, 19 MiB, two iterations, one degree of parallelism
    for stored in (STORED, passwords.NOBODY):
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert not passwords.needs_rehash(stored)
    assert extract_parameters(STORED) == extract_parameters(passwords.NOBODY)


def test_right_and_wrong() -> None:
    assert passwords.verify(STORED, PASSWORD)
    for wrong in ("", "correct hors", "correct horse ", "Correct horse", PASSWORD + "\0"):
        assert not passwords.verify(STORED, wrong)


def test_the_same_password_has_two_hashes() -> None:
    assert passwords.hash(PASSWORD) != STORED


def test_needs_rehash() -> None:
    assert passwords.needs_rehash(PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD))


@pytest.mark.parametrize("length", [8, 1024])
def test_allowed_lengths(length: int) -> None:
    password = "ä" * length
    assert passwords.verify(passwords.hash(password), password)


@pytest.mark.parametrize(
    "password", ["", "x", "1234567", "x" * 1025, "abcdefg\n", "abc\0defgh", "abcdefg\udcff", "\ud800" * 9]
)
def test_refused_at_creation(password: str) -> None:
    with pytest.raises(BadPassword, match="8 to 1024 characters") as caught:
        passwords.hash(password)
    assert len(password) < 7 or password not in str(caught.value)


@pytest.mark.parametrize("password", ["x" * 1025, "x" * 1_000_000, "\ud800", "a\udcffb" * 300, "\0", "\u0301" * 1024])
def test_hostile_passwords_are_simply_wrong(password: str) -> None:
    assert passwords.verify(STORED, password) is False


def test_normalisation() -> None:
    stored = passwords.hash("Ångström ﬁle no break")
    assert passwords.verify(stored, "A\u030angstro\u0308m file no\u00a0break")  # NFC, ligature, no-break space
    assert passwords.verify(stored, "Ångström ﬁle no\u1680break")
    assert not passwords.verify(stored, "Angstrom file no break")
    assert not passwords.verify(stored, "ångström file no break")


@pytest.mark.parametrize("stored", ["", "!", "$argon2id$v=19$m=19456,t=2,p=1$broken", "plain", "$argon2id$é$"])
def test_a_broken_hash_matches_nothing(stored: str) -> None:
    assert passwords.verify(stored, PASSWORD) is False


def test_nobody_has_no_password() -> None:
    for password in ("", "x" * 1025):
        assert passwords.verify(None, password) is False
        assert passwords.verify(passwords.NOBODY, password) is False


def test_every_check_costs_one_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, password: bytes) -> bool:
        costs.append(stored.rsplit("$", 2)[0])
        return verify(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    for stored, password in [
        (STORED, PASSWORD),
        (STORED, "wrong"),
        (None, PASSWORD),
        (STORED, "x" * 2000),
        (STORED, ""),
    ]:
        passwords.verify(stored, password)
    assert costs == ["$argon2id$v=19$m=19456,t=2,p=1"] * 5


@settings(max_examples=10, deadline=None)
@given(st.text(max_size=50))
def test_any_text_may_be_tried(password: str) -> None:
    assert passwords.verify(STORED, password) is (password == PASSWORD)
