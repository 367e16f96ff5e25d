import pytest

from auth.errors import InvalidToken
from rpc import bearer


@pytest.mark.parametrize("header", ["Bearer t", "bearer t", "BEARER  t ", "token t", "Token t"])
def test_both_schemes_in_any_case(header: str) -> None:
    assert bearer.parse([header]) == "t"


@pytest.mark.parametrize(
    "headers", [["Basic dTpw"], ["Bearer"], ["Bearer "], ["t"], [""], ["Bearer a b"], ["Bearer a"] * 2]
)
def test_anything_else_is_malformed(headers: list[str]) -> None:
    with pytest.raises(InvalidToken) as caught:
        bearer.parse(headers)
    assert caught.value.reason == "malformed"


def test_no_header_is_no_token() -> None:
    assert bearer.parse([]) is None


def test_the_challenge_of_rfc_6750() -> None:
    assert 'error="invalid_token"' in bearer.challenge(InvalidToken("expired"))
    assert bearer.challenge(InvalidToken("expired")).startswith("Bearer ")
