from datetime import UTC, datetime, timedelta

import pytest

from auth.database import Database
from auth.errors import BadUserName, UserExists, UserNotFound
from auth.users import Credentials, User, Users


@pytest.fixture
def users(database: Database) -> Users:
    return Users(database)


def test_add_and_get(users: Users) -> None:
    assert users.is_empty()
    ada = users.add("Ada", "hash")
    assert not users.is_empty()
    assert (ada.name, ada.disabled, ada.generation) == ("Ada", False, 1)
    assert len(ada.id) == 16
    assert datetime.now(UTC) - timedelta(minutes=1) < ada.created_at <= datetime.now(UTC)
    assert ada.created_at.tzinfo is not None
    assert users.get("Ada") == users.get_by_id(ada.id) == ada
    assert users.get("bob") is users.get_by_id("none") is None
    assert users.credentials("Ada") == Credentials(ada, "hash")


def test_names_are_the_same_in_any_case(users: Users) -> None:
    ada = users.add("Ada", "hash")
    with pytest.raises(UserExists, match="upper and lower case") as caught:
        users.add("aDA", "other")
    assert caught.value.name == "aDA"
    assert users.get("ADA") == ada
    assert users.all() == [ada]


@pytest.mark.parametrize("name", ["a", "A.b_c@d-e", "x" * 64, "0", "_x", "@x", "ada@example.org"])
def test_names(users: Users, name: str) -> None:
    assert users.add(name, "hash").name == name


@pytest.mark.parametrize(
    "name", ["", ".a", "-a", "x" * 65, "a b", "ä", "а", "a\n", "a\0", "a/b", "a'--", "\udcff", "ａ", "x" * 100_000]
)
def test_what_is_no_name(users: Users, name: str) -> None:
    with pytest.raises(BadUserName, match="1 to 64") as caught:
        users.add(name, "hash")
    assert len(str(caught.value)) < 400
    assert users.get(name) is None
    assert users.credentials(name) is None
    for change in (
        lambda: users.set_password(name, "h"),
        lambda: users.set_disabled(name, True),
        lambda: users.remove(name),
    ):
        with pytest.raises(UserNotFound) as missing:
            change()
        assert len(str(missing.value)) < 400


def test_a_new_password_raises_the_generation(users: Users) -> None:
    users.add("ada", "hash")
    users.add("bob", "hash")
    users.set_password("ADA", "new")
    found = users.credentials("ada")
    assert found is not None
    assert (found.password_hash, found.user.generation) == ("new", 2)
    bob = users.get("bob")
    assert bob is not None
    assert bob.generation == 1


def test_a_rehash_keeps_the_generation_and_yields_to_a_new_password(users: Users) -> None:
    users.add("ada", "hash")
    stale = users.credentials("ada")
    assert stale is not None
    users.replace_hash(stale, "better")
    found = users.credentials("ada")
    assert found is not None
    assert (found.password_hash, found.user.generation) == ("better", 1)
    users.replace_hash(stale, "late")
    assert users.credentials("ada") == found


def test_disable_and_remove(users: Users) -> None:
    ada = users.add("ada", "hash")
    users.set_disabled("ada", True)
    found = users.get("ada")
    assert found is not None
    assert found.disabled
    users.remove("ada")
    assert users.all() == []
    assert users.add("ada", "hash").id != ada.id


def test_unknown_names(users: Users) -> None:
    with pytest.raises(UserNotFound, match="'nobody'"):
        users.remove("nobody")
    with pytest.raises(UserNotFound, match="'nobody'"):
        users.set_password("nobody", "hash")
    with pytest.raises(UserNotFound, match="'nobody'"):
        users.set_disabled("nobody", True)


def test_all_are_sorted(users: Users) -> None:
    for name in ("carol", "Bob", "ada"):
        users.add(name, "hash")
    assert [user.name for user in users.all()] == ["ada", "Bob", "carol"]


def test_hashes_are_not_shown(users: Users) -> None:
    users.add("ada", "$argon2id$secret")
    assert "argon2" not in repr(users.credentials("ada")) + repr(users.all())
    assert "hash" not in User.__struct_fields__
