import asyncio
import contextlib
import logging
import threading
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest
from argon2 import PasswordHasher

from auth import passwords
from auth.authenticator import ALL_SCOPES, Authenticator
from auth.bootstrap import bootstrap
from auth.database import DATABASE_FILE, Database, default_url
from auth.errors import DatabaseUnavailable, InvalidToken, LoginFailed, LoginThrottled, TooManyLogins
from auth.revocations import Revocations
from auth.secret import Keys
from auth.settings import AuthSettings
from auth.users import User, Users

PASSWORD = "correct horse"
STORED = passwords.hash(PASSWORD)


class Clock(Protocol):
    now: float

    def __call__(self) -> float: ...


class House:
    """A database with its users and any number of fronts on it."""

    def __init__(self, state_dir: Path, clock: Clock, database: Database) -> None:
        self.state_dir = state_dir
        self.clock = clock
        self.users = Users(database)
        self.fronts: list[Authenticator] = []

    def front(self, settings: AuthSettings | None = None) -> Authenticator:
        made = Authenticator(Keys((b"k" * 32,)), Database(default_url(self.state_dir)), settings, self.clock)
        self.fronts.append(made)
        return made

    def take_away(self) -> None:
        (self.state_dir / DATABASE_FILE).rename(self.state_dir / "away")

    def bring_back(self) -> None:
        (self.state_dir / "away").rename(self.state_dir / DATABASE_FILE)


@pytest.fixture
async def house(state_dir: Path, clock: Clock, database: Database) -> AsyncIterator[House]:
    house = House(state_dir, clock, database)
    house.users.add("ada", STORED)
    yield house
    for front in house.fronts:
        await front.close()


def reason(front: Authenticator, token: str | None) -> str | None:
    try:
        front.check(token)
    except InvalidToken as error:
        return error.reason
    return None


async def logged_in(front: Authenticator) -> tuple[User, str]:
    user = await front.log_in("ada", PASSWORD)
    return user, front.issue(user, "host.session", "python3")[0]


async def test_log_in_issue_check(house: House) -> None:
    front = house.front()
    user = await front.log_in("ADA", PASSWORD)
    assert user == house.users.get("ada")
    token, claims = front.issue(user, "host.session", "python3")
    assert front.check(token) == claims
    assert (claims.user_id, claims.user, claims.session, claims.kernel) == (user.id, "ada", "host.session", "python3")
    assert claims.scopes == ALL_SCOPES == ("evaluate", "read", "manage")
    assert (claims.issued_at, claims.expires_at) == (int(house.clock.now), int(house.clock.now) + 43_200)
    other, others = front.issue(user, None, None, ("read",))
    assert other != token
    assert others.token_id != claims.token_id
    assert (others.session, others.kernel, others.scopes) == (None, None, ("read",))


async def test_expiry(house: House) -> None:
    front = house.front(AuthSettings(token_lifetime_s=10))
    _, token = await logged_in(front)
    house.clock.now += 9.99
    assert reason(front, token) is None
    house.clock.now += 0.01
    assert reason(front, token) == "expired"


async def test_bad_tokens(house: House) -> None:
    front = house.front()
    assert reason(front, None) == reason(front, "") == "missing"
    assert reason(front, "kw_rubbish") == "malformed"


BAD_LOGINS = [
    ("nobody", PASSWORD),
    ("ada", "wrong password"),
    ("off", PASSWORD),
    ("ada", ""),
    ("ada", "x" * 5000),
    ("ada", "\udcff"),
    ("", PASSWORD),
    ("ada\0", PASSWORD),
    ("\ud800", PASSWORD),
    ("x" * 100_000, PASSWORD),
    ("ada' OR '1'='1", PASSWORD),
]


@pytest.mark.parametrize(("name", "password"), BAD_LOGINS)
async def test_all_failures_are_alike_and_cost_one_hash(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str, password: str
) -> None:
    house.users.add("off", STORED)
    house.users.set_disabled("off", True)
    costs: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, prepared: bytes) -> bool:
        costs.append(stored.rsplit("$", 2)[0])
        return verify(self, stored, prepared)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    front = house.front()
    with pytest.raises(LoginFailed) as caught:
        await front.log_in(name, password)
    assert str(caught.value) == str(LoginFailed())
    assert vars(caught.value) == {}
    assert costs == ["$argon2id$v=19$m=19456,t=2,p=1"]
    shown = "".join(traceback.format_exception(caught.value))
    assert "argon2id" not in shown
    assert not password or len(password) < 5 or password not in shown


async def test_log_out_is_known_here_at_once_and_elsewhere_after_a_refresh(house: House) -> None:
    here, there, later = house.front(), house.front(), house.front()
    _, token = await logged_in(here)
    for front in (here, there):
        await front.refresh()
    assert reason(here, token) is reason(there, token) is None
    await here.revoke(here.check(token))
    assert reason(here, token) == "revoked"
    assert reason(there, token) is None
    await there.refresh()
    assert reason(there, token) == "revoked"
    await later.refresh()
    assert reason(later, token) == "revoked"
    await here.refresh()
    assert reason(here, token) == "revoked"


async def test_log_out_of_one_token_leaves_the_others(house: House) -> None:
    front = house.front()
    user, one = await logged_in(front)
    two, _ = front.issue(user, None, None)
    await front.revoke(front.check(one))
    await front.refresh()
    assert reason(front, two) is None


async def test_log_out_twice_at_once(house: House) -> None:
    front = house.front()
    _, token = await logged_in(front)
    claims = front.check(token)
    await asyncio.gather(front.revoke(claims), front.revoke(claims))
    assert reason(front, token) == "revoked"


async def test_a_new_password_ends_all_tokens(house: House) -> None:
    here, there = house.front(), house.front()
    _, old = await logged_in(here)
    await there.refresh()
    house.users.set_password("ada", STORED)
    _, new = await logged_in(here)
    assert reason(here, old) == "revoked"  # the log-in has shown the new generation
    assert reason(here, new) is reason(there, new) is None
    assert reason(there, old) is None
    await there.refresh()
    assert reason(there, old) == "revoked"
    assert reason(there, new) is None


async def test_a_disabled_and_a_removed_user(house: House) -> None:
    front = house.front()
    _, token = await logged_in(front)
    await front.refresh()
    house.users.set_disabled("ada", True)
    await front.refresh()
    assert reason(front, token) == "revoked"
    with pytest.raises(LoginFailed):
        await front.log_in("ada", PASSWORD)
    house.users.set_disabled("ada", False)
    await front.refresh()
    assert reason(front, token) is None
    house.users.remove("ada")
    house.clock.now += 1.1
    await front.refresh()
    assert reason(front, token) == "revoked"


async def test_a_token_removed_with_its_user_in_the_second_it_was_issued_dies_within_two(house: House) -> None:
    front = house.front()
    await front.refresh()
    house.clock.now += 0.9
    _, token = await logged_in(front)
    house.users.remove("ada")
    house.clock.now += 1
    await front.refresh()
    assert reason(front, token) == "revoked"


async def test_a_user_added_elsewhere_a_moment_ago(house: House) -> None:
    here, there = house.front(), house.front()
    await there.refresh()
    house.clock.now += 0.5
    house.users.add("bob", STORED)
    token, _ = here.issue(await here.log_in("bob", PASSWORD), None, None)
    assert reason(there, token) is None
    house.clock.now += 5
    await there.refresh()
    assert reason(there, token) is None


async def test_a_rehash_when_parameters_have_changed(house: House) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    house.users.add("old", weak)
    front = house.front()
    user = await front.log_in("old", PASSWORD)
    found = house.users.credentials("old")
    assert found is not None
    assert found.password_hash != weak
    assert not passwords.needs_rehash(found.password_hash)
    assert found.user == user  # same generation: tokens live
    assert await front.log_in("old", PASSWORD) == user


async def test_a_failed_rehash_fails_no_log_in(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnavailable

    house.users.add("old", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD))
    monkeypatch.setattr(Users, "replace_hash", away)
    assert (await house.front().log_in("old", PASSWORD)).name == "old"
    assert "rehash_failed" in caplog.text


async def test_too_many_log_ins(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    front = house.front(AuthSettings(logins_at_once=1, logins_waiting=1))
    ended = await asyncio.gather(*[front.log_in("ada", PASSWORD) for _ in range(8)], return_exceptions=True)
    assert {type(one) for one in ended} == {User, TooManyLogins}
    assert (await front.log_in("ada", PASSWORD)).name == "ada"


async def test_without_a_database_sessions_go_on(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    front = house.front()
    user, token = await logged_in(front)
    gone, _ = front.issue(user, None, None)
    await front.revoke(front.check(gone))
    await front.refresh()
    assert front.database_up
    house.take_away()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await front.refresh()
    assert not front.database_up
    assert front.knows_revocations
    assert reason(front, token) is None
    assert reason(front, gone) == "revoked"
    with pytest.raises(DatabaseUnavailable) as caught:
        await front.log_in("ada", PASSWORD)
    assert caught.value.retry_after_s > 0
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    house.bring_back()
    await front.refresh()
    await front.refresh()
    assert front.database_up
    assert [record.getMessage().split()[0] for record in caplog.records if record.name == "auth.authenticator"] == [
        "database_away",
        "database_back",
    ]
    assert (await front.log_in("ada", PASSWORD)) == user


async def test_a_log_out_without_a_database_is_written_down_later(house: House) -> None:
    here, there = house.front(), house.front()
    user, one = await logged_in(here)
    two, _ = here.issue(user, None, None)
    house.take_away()
    for token in (one, two):
        with pytest.raises(DatabaseUnavailable):
            await here.revoke(here.check(token))
        assert reason(here, token) == "revoked"
    house.bring_back()
    await here.refresh()
    await there.refresh()
    assert reason(there, one) == reason(there, two) == "revoked"


async def test_a_database_that_only_reads_still_tells_of_log_outs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = house.front(), house.front()
    user, token = await logged_in(here)
    own, _ = there.issue(user, None, None)
    await here.revoke(here.check(token))

    def full(*_: object) -> None:
        raise DatabaseUnavailable(reason="database or disk is full")

    monkeypatch.setattr(Revocations, "add", full)
    with pytest.raises(DatabaseUnavailable):
        await there.revoke(there.check(own))
    with pytest.raises(DatabaseUnavailable):
        await there.refresh()
    assert reason(there, token) == "revoked"
    monkeypatch.undo()
    await there.refresh()
    await here.refresh()
    assert reason(here, own) == "revoked"


async def test_a_front_started_without_a_database_goes_by_signatures(house: House) -> None:
    _, token = await logged_in(house.front())
    house.take_away()
    front = house.front()
    with pytest.raises(DatabaseUnavailable):
        await front.refresh()
    assert not front.knows_revocations
    assert reason(front, token) is None
    house.bring_back()


async def test_a_database_that_hangs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object) -> None:
        release.wait(10)

    front = house.front(AuthSettings(database_wait_s=0.05))
    monkeypatch.setattr(Users, "credentials", hang)
    with pytest.raises(DatabaseUnavailable) as caught:
        await front.log_in("ada", PASSWORD)
    assert caught.value.reason == "no answer in time"
    release.set()


async def test_watch_survives_a_database_that_is_away(house: House, caplog: pytest.LogCaptureFixture) -> None:
    here, there = house.front(), house.front(AuthSettings(revocation_refresh_s=0.001))
    _, token = await logged_in(here)
    rounds: asyncio.Queue[None] = asyncio.Queue()
    refresh = there.refresh

    async def noted() -> None:
        try:
            await refresh()
        finally:
            rounds.put_nowait(None)

    async def two_rounds() -> None:
        while not rounds.empty():
            rounds.get_nowait()
        for _ in range(2):
            await asyncio.wait_for(rounds.get(), 10)

    there.refresh = noted
    watching = asyncio.create_task(there.watch())
    await two_rounds()
    house.take_away()
    await two_rounds()
    assert not there.database_up
    house.bring_back()
    await here.revoke(here.check(token))
    await two_rounds()
    assert there.database_up
    assert reason(there, token) == "revoked"
    assert caplog.text.count("database_away") == 1
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert watching.cancelled()


async def test_open_after_bootstrap(state_dir: Path) -> None:
    made = bootstrap(state_dir)
    assert made.admin_password is not None
    one, two = Authenticator.open(state_dir), Authenticator.open(state_dir)
    token, claims = one.issue(await one.log_in("admin", made.admin_password), None, None)
    await two.refresh()
    assert two.check(token) == claims
    for front in (one, two):
        await front.close()
        await front.close()


async def test_nothing_secret_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    front = house.front()
    _, token = await logged_in(front)
    with pytest.raises(LoginFailed):
        await front.log_in("ada", "a wrong password")
    await front.revoke(front.check(token))
    house.take_away()
    with pytest.raises(DatabaseUnavailable):
        await front.refresh()
    for hidden in (PASSWORD, "a wrong password", token, STORED):
        assert hidden not in caplog.text
    house.bring_back()


async def test_failures_block_a_name_whether_there_is_such_a_user_or_not(house: House) -> None:
    front = house.front(AuthSettings(login_failures_per_user="3/minute", login_failures_per_address="off"))
    said: dict[str, list[str]] = {"ada": [], "nobody": []}
    for name, words in said.items():
        for _ in range(5):
            with pytest.raises((LoginFailed, LoginThrottled)) as caught:
                await front.log_in(name, "wrong", "192.0.2.1")
            words.append(f"{type(caught.value).__name__}: {caught.value}")
    assert said["ada"] == said["nobody"]
    assert said["ada"][2:] == [
        "LoginFailed: wrong user name or password",
        *["LoginThrottled: too many log-ins have failed; try again in 60 s"] * 2,
    ]
    with pytest.raises(LoginThrottled):  # the right password, too: a guess must not be told apart
        await front.log_in("ada", PASSWORD)
    house.clock.now += 60
    assert (await front.log_in("ada", PASSWORD)).name == "ada"


async def test_of_many_guesses_at_once_no_more_are_answered(house: House) -> None:
    front = house.front(AuthSettings(login_failures_per_user="3/minute", login_failures_per_address="off"))
    guesses = [front.log_in("ada", PASSWORD if n == 19 else f"wrong {n}") for n in range(20)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(one, LoginFailed) for one in outcomes) <= 4  # two are checked at the same time
    assert sum(isinstance(one, LoginThrottled) for one in outcomes) >= 16
