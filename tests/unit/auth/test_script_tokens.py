from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from auth.database import Database
from auth.errors import BadTokenRequest, TooManyTokens, UserNotFound
from auth.revocations import Revocations
from auth.schema import script_tokens
from auth.script_tokens import ScriptTokens, Wanted
from auth.settings import AuthSettings
from auth.users import User, Users

NOW = 1_800_000_000.75
SETTINGS = AuthSettings(script_token_lifetime_s=1000, script_token_max_s=2000, script_tokens_per_user=3)
READ = Wanted(("read",))


@pytest.fixture
def tokens(database: Database) -> ScriptTokens:
    return ScriptTokens(database, SETTINGS)


@pytest.fixture
def ada(database: Database) -> User:
    return Users(database).add("ada", "hash")


def rows(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.scalars(select(script_tokens.c.token_id).order_by(script_tokens.c.number)))


def ids(tokens: ScriptTokens, user: User, now: float = NOW) -> list[str]:
    return [token.token_id for token in tokens.page(user.id, now, 100).tokens]


def test_what_is_made_is_what_is_known(tokens: ScriptTokens, ada: User) -> None:
    claims = tokens.create(ada.id, Wanted(("read", "manage"), "nightly ä"), NOW)
    assert (claims.user_id, claims.user, claims.session, claims.kernel) == (ada.id, "ada", None, None)
    assert (claims.scopes, claims.generation) == (("read", "manage"), 1)
    assert (claims.issued_at, claims.expires_at) == (1_800_000_000, 1_800_001_000)
    page = tokens.page(ada.id, NOW, 100)
    assert page.after is None
    [token] = page.tokens
    assert (token.token_id, token.user_id, token.name) == (claims.token_id, ada.id, "nightly ä")
    assert (token.scopes, token.created_at, token.expires_at) == (claims.scopes, claims.issued_at, claims.expires_at)
    assert tokens.get(ada.id, claims.token_id, NOW) == token


def test_no_token_is_stored(tokens: ScriptTokens, ada: User, database: Database, state_dir: Path) -> None:
    tokens.create(ada.id, READ, NOW)
    database.close()
    assert b"kw_" not in b"".join(path.read_bytes() for path in state_dir.iterdir())


@pytest.mark.parametrize(
    ("wanted", "expires_at"),
    [
        (Wanted(("read",), expires_in_s=1), 1),
        (Wanted(("read",), expires_in_s=2000), 2000),
        (Wanted(("read",), expires_at=NOW + 100), 100),
        (Wanted(("read",), expires_at=1_800_002_000), 2000),
    ],
)
def test_expiry(tokens: ScriptTokens, ada: User, wanted: Wanted, expires_at: int) -> None:
    assert tokens.create(ada.id, wanted, NOW).expires_at == 1_800_000_000 + expires_at


@pytest.mark.parametrize(
    ("wanted", "member"),
    [
        (Wanted(("read",), ""), "name"),
        (Wanted(("read",), "x" * 65), "name"),
        (Wanted(("read",), "a\nb"), "name"),
        (Wanted(("read",), "\x1b[2J"), "name"),
        (Wanted(("read",), "\ud800"), "name"),
        (Wanted(("read",), expires_in_s=0.5), "expires_in_s"),
        (Wanted(("read",), expires_in_s=-1), "expires_in_s"),
        (Wanted(("read",), expires_in_s=2001), "expires_in_s"),
        (Wanted(("read",), expires_in_s=float("nan")), "expires_in_s"),
        (Wanted(("read",), expires_at=NOW), "expires_at"),
        (Wanted(("read",), expires_at=NOW + 2001), "expires_at"),
        (Wanted(("read",), expires_at=0), "expires_at"),
        (Wanted(("read",), expires_in_s=10, expires_at=NOW + 10), "expires_at"),
    ],
)
def test_bad_wishes(tokens: ScriptTokens, ada: User, wanted: Wanted, member: str) -> None:
    with pytest.raises(BadTokenRequest, match=f"`{member}`: expected ") as caught:
        tokens.create(ada.id, wanted, NOW)
    assert caught.value.member == member
    assert ids(tokens, ada) == []


def test_the_default_lifetime_is_never_beyond_the_longest(database: Database, ada: User) -> None:
    short = ScriptTokens(database, AuthSettings(script_token_lifetime_s=1000, script_token_max_s=10))
    assert short.create(ada.id, READ, NOW).expires_at == int(NOW) + 10


def test_the_limit_counts_only_what_counts(tokens: ScriptTokens, ada: User, database: Database) -> None:
    bob = Users(database).add("bob", "hash")
    tokens.create(bob.id, READ, NOW)
    first = tokens.create(ada.id, Wanted(("read",), expires_in_s=10), NOW)
    for _ in range(2):
        tokens.create(ada.id, READ, NOW)
    with pytest.raises(TooManyTokens) as caught:
        tokens.create(ada.id, READ, NOW)
    assert (caught.value.limit, caught.value.value) == ("script_tokens_per_user", 3)
    tokens.create(ada.id, READ, NOW + 10)  # the first has expired
    assert first.token_id not in rows(database)
    with pytest.raises(TooManyTokens):
        tokens.create(ada.id, READ, NOW + 10)
    Revocations(database).add([tokens.get(ada.id, ids(tokens, ada)[0], NOW + 10)])
    tokens.create(ada.id, READ, NOW + 10)
    assert len(ids(tokens, ada, NOW + 10)) == 3


def test_pages(tokens: ScriptTokens, ada: User, database: Database) -> None:
    made = [tokens.create(ada.id, READ, NOW).token_id for _ in range(3)]
    first = tokens.page(ada.id, NOW, 2)
    assert [token.token_id for token in first.tokens] == made[:2]
    Revocations(database).add(first.tokens)  # a script that revokes page by page
    rest = tokens.page(ada.id, NOW, 2, first.after)
    assert ([token.token_id for token in rest.tokens], rest.after) == (made[2:], None)
    assert tokens.page(ada.id, NOW, 3).after is None
    assert tokens.page(ada.id, NOW, 2, "999").tokens == []
    for after in ("", "-1", "x", "1 or 1", "٣", "9" * 19):
        with pytest.raises(BadTokenRequest, match="`after`"):
            tokens.page(ada.id, NOW, 2, after)


def end_by_generation(database: Database, user: User, _token: str) -> None:
    Users(database).set_password(user.name, "hash2")


def end_by_removal(database: Database, user: User, _token: str) -> None:
    Users(database).remove(user.name)


def end_by_revocation(database: Database, user: User, token: str) -> None:
    Revocations(database).add([ScriptTokens(database, SETTINGS).get(user.id, token, NOW)])


@pytest.mark.parametrize("end", [end_by_generation, end_by_removal, end_by_revocation])
def test_what_no_longer_counts_is_hidden_and_purged(
    tokens: ScriptTokens, ada: User, database: Database, end: Callable[[Database, User, str], None]
) -> None:
    eve = Users(database).add("eve", "hash")
    theirs = tokens.create(eve.id, READ, NOW).token_id
    token = tokens.create(ada.id, READ, NOW).token_id
    end(database, ada, token)
    assert ids(tokens, ada) == []
    with pytest.raises(BadTokenRequest, match="`token_id`"):
        tokens.get(ada.id, token, NOW)
    assert tokens.purge(NOW) == 1
    assert rows(database) == [theirs]
    assert tokens.purge(NOW + 1000) == 1


def test_a_disabled_user_keeps_the_list(tokens: ScriptTokens, ada: User, database: Database) -> None:
    token = tokens.create(ada.id, READ, NOW).token_id
    Users(database).set_disabled("ada", True)
    assert ids(tokens, ada) == [token]
    with pytest.raises(UserNotFound):
        tokens.create(ada.id, READ, NOW)


def test_others_tokens_are_unknown(tokens: ScriptTokens, ada: User, database: Database) -> None:
    eve = Users(database).add("eve", "hash")
    token = tokens.create(ada.id, READ, NOW).token_id
    assert ids(tokens, eve) == []
    with pytest.raises(BadTokenRequest, match="`token_id`"):
        tokens.get(eve.id, token, NOW)


def test_the_generation_that_the_user_must_have(tokens: ScriptTokens, ada: User, database: Database) -> None:
    tokens.create(ada.id, READ, NOW, generation=1)
    with pytest.raises(UserNotFound):
        tokens.create(ada.id, READ, NOW, generation=2)
    with pytest.raises(UserNotFound):
        tokens.create("nobody", READ, NOW)
    assert len(rows(database)) == 1
