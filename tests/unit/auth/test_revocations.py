import pytest

from auth.database import Database
from auth.revocations import Revocations, Snapshot, UserState
from auth.tokens import Claims
from auth.users import Users

NOW = 1_800_000_000


def token(token_id: str, expires_at: int = NOW + 10) -> Claims:
    return Claims(token_id, "user", "ada", None, None, (), 1, NOW - 10, expires_at)


@pytest.fixture
def revocations(database: Database) -> Revocations:
    return Revocations(database)


def test_a_snapshot_of_nothing(revocations: Revocations) -> None:
    assert revocations.read(NOW) == Snapshot({}, frozenset())


def test_revoked_until_expiry(revocations: Revocations) -> None:
    revocations.add([token("a"), token("b", NOW + 20)])
    assert revocations.read(NOW + 9.9).revoked == {"a", "b"}
    assert revocations.read(NOW + 10).revoked == {"b"}


def test_twice_is_once(revocations: Revocations) -> None:
    revocations.add([token("a")])
    revocations.add([token("b"), token("a"), token("b")])
    assert revocations.read(NOW).revoked == {"a", "b"}


def test_purge(revocations: Revocations) -> None:
    revocations.add([token("a"), token("b", NOW + 20)])
    assert revocations.purge(NOW + 10) == 1
    assert revocations.purge(NOW + 10) == 0
    assert revocations.read(NOW).revoked == {"b"}


def test_states_of_users(revocations: Revocations, database: Database) -> None:
    users = Users(database)
    ada, bob = users.add("ada", "h"), users.add("bob", "h")
    users.set_password("ada", "h2")
    users.set_disabled("bob", True)
    assert revocations.read(NOW).users == {ada.id: UserState(2, False), bob.id: UserState(1, True)}
