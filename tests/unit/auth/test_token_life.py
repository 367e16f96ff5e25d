"""Renewing, ending and script tokens, as fronts on one database see them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from auth.authenticator import Authenticator
from auth.database import DATABASE_FILE, Database, default_url
from auth.errors import BadTokenRequest, DatabaseUnavailable, Forbidden, InvalidToken
from auth.script_tokens import Wanted
from auth.secret import Keys
from auth.settings import AuthSettings
from auth.tokens import Claims
from auth.users import User, Users


class Clock(Protocol):
    now: float

    def __call__(self) -> float: ...


class Fronts:
    """Two fronts, `here` and `there`, each as fresh as its last refresh."""

    def __init__(self, state_dir: Path, database: Database, clock: Clock) -> None:
        self.users = Users(database)
        self.clock = clock
        self.file = state_dir / DATABASE_FILE
        self.user: User = self.users.add("ada", "hash")
        self.here, self.there = (
            Authenticator(Keys((b"k" * 32,)), Database(default_url(state_dir)), AuthSettings(), clock) for _ in range(2)
        )

    async def refresh(self) -> None:
        """What `watch` does once a second, a second later."""
        self.clock.now += 1
        await self.here.refresh()
        await self.there.refresh()

    def log_in(self) -> tuple[str, Claims]:
        return self.here.issue(self.users.get("ada") or self.user, "host.session", "python3")

    async def script_token(self, *scopes: str) -> tuple[str, Claims]:
        return await self.here.create_script_token(self.log_in()[1], Wanted(scopes or ("read",)))


@pytest.fixture
async def fronts(state_dir: Path, database: Database, clock: Clock) -> AsyncIterator[Fronts]:
    made = Fronts(state_dir, database, clock)
    await made.refresh()
    yield made
    await made.here.close()
    await made.there.close()


def counts(front: Authenticator, token: str) -> bool:
    try:
        front.check(token)
    except InvalidToken as error:
        return error.reason != "revoked"
    return True


async def test_renewing(fronts: Fronts) -> None:
    token, claims = fronts.log_in()
    fronts.clock.now += 40_000
    newer, renewed = await fronts.here.renew(claims)
    assert newer != token
    assert renewed.token_id != claims.token_id
    assert (renewed.session, renewed.kernel, renewed.scopes) == (claims.session, claims.kernel, claims.scopes)
    assert (renewed.user_id, renewed.generation) == (claims.user_id, claims.generation)
    assert renewed.expires_at == claims.expires_at + 40_000
    assert counts(fronts.here, token)
    fronts.clock.now = claims.expires_at
    with pytest.raises(InvalidToken, match="expired"):
        fronts.here.check(token)
    assert counts(fronts.there, newer)


@pytest.mark.parametrize("end", ["remove", "disable", "password", "log out there"])
async def test_what_has_ended_begets_nothing_even_before_it_is_known_here(fronts: Fronts, end: str) -> None:
    token, claims = fronts.log_in()
    match end:
        case "remove":
            fronts.users.remove("ada")
        case "disable":
            fronts.users.set_disabled("ada", True)
        case "password":
            fronts.users.set_password("ada", "hash2")
        case _:
            await fronts.there.revoke(claims)
    assert counts(fronts.here, token)  # not known here yet
    for attempt in (
        lambda: fronts.here.renew(claims),
        lambda: fronts.here.create_script_token(claims, Wanted(("read",))),
    ):
        with pytest.raises(InvalidToken, match="no longer valid"):
            await attempt()
    if end in ("remove", "disable", "password"):
        with pytest.raises(InvalidToken, match="no longer valid"):
            await fronts.here.end_all(claims)


async def test_ending_all(fronts: Fronts) -> None:
    eve = fronts.users.add("eve", "hash")
    theirs, _ = fronts.here.issue(eve, None, None)
    tokens = [fronts.log_in()[0], (await fronts.script_token())[0], fronts.there.issue(fronts.user, None, None)[0]]
    _, claims = fronts.log_in()
    await fronts.refresh()
    await fronts.here.end_all(claims)
    assert [counts(fronts.here, token) for token in tokens] == [False] * 3
    assert [counts(fronts.there, token) for token in tokens] == [True] * 3
    await fronts.refresh()
    assert [counts(fronts.there, token) for token in tokens] == [False] * 3
    assert counts(fronts.here, theirs)
    assert (await fronts.here.script_tokens(fronts.log_in()[1], 10)).tokens == []
    again, _ = fronts.log_in()
    assert counts(fronts.here, again)
    assert counts(fronts.there, again)


async def test_a_script_token_counts_everywhere_until_it_is_revoked(fronts: Fronts) -> None:
    token, claims = await fronts.script_token("read", "evaluate")
    other, _ = await fronts.script_token()
    assert fronts.there.check(token) == claims
    assert (claims.session, claims.scopes) == (None, ("read", "evaluate"))
    await fronts.there.revoke_script_token(claims, claims.token_id)
    assert (counts(fronts.there, token), counts(fronts.here, token)) == (False, True)
    await fronts.refresh()
    assert (counts(fronts.here, token), counts(fronts.here, other)) == (False, True)
    with pytest.raises(BadTokenRequest, match="`token_id`"):
        await fronts.here.revoke_script_token(claims, claims.token_id)


async def test_a_log_out_ends_a_script_token_too(fronts: Fronts) -> None:
    _, claims = await fronts.script_token()
    await fronts.here.revoke(claims)
    assert (await fronts.here.script_tokens(claims, 10)).tokens == []


async def test_no_token_makes_one_that_may_do_more(fronts: Fronts) -> None:
    _, reader = await fronts.script_token("read", "manage")
    _, made = await fronts.here.create_script_token(reader, Wanted(("manage",)))
    assert made.scopes == ("manage",)
    with pytest.raises(Forbidden) as caught:
        await fronts.here.create_script_token(reader, Wanted(("read", "evaluate")))
    assert caught.value.scope == "evaluate"
    assert len((await fronts.here.script_tokens(reader, 10)).tokens) == 2


@pytest.mark.parametrize("end", ["disable", "remove"])
async def test_a_disabled_or_removed_user_has_no_valid_token(fronts: Fronts, end: str) -> None:
    tokens = [fronts.log_in()[0], (await fronts.script_token())[0]]
    fronts.clock.now += 5
    await fronts.refresh()
    assert all(counts(front, token) for front in (fronts.here, fronts.there) for token in tokens)
    if end == "disable":
        fronts.users.set_disabled("ada", True)
    else:
        fronts.users.remove("ada")
    await fronts.refresh()
    assert not any(counts(front, token) for front in (fronts.here, fronts.there) for token in tokens)
    if end == "disable":
        fronts.users.set_disabled("ada", False)
        await fronts.refresh()
        assert all(counts(fronts.here, token) for token in tokens)


async def test_without_a_database_nothing_is_made_or_ended(fronts: Fronts) -> None:
    token, claims = fronts.log_in()
    fronts.file.rename(fronts.file.with_name("away"))
    for attempt in (
        lambda: fronts.here.renew(claims),
        lambda: fronts.here.end_all(claims),
        lambda: fronts.here.create_script_token(claims, Wanted(("read",))),
        lambda: fronts.here.script_tokens(claims, 10),
        lambda: fronts.here.revoke_script_token(claims, "x"),
    ):
        with pytest.raises(DatabaseUnavailable):
            await attempt()
    assert counts(fronts.here, token)
