"""A session and the users that it is shared with."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from kernel_bridge import hop
from kernel_bridge.errors import AccessDenied, CellNotFound, InvalidArgument, LimitExceeded, SessionNotFound
from kernel_bridge.hop import Caller
from kernel_bridge.results import Share
from tests.kernel.house import ALICE, BOB, House, house

EVE = Caller("u-eve", "eve")


async def share(home: House, session: str, user: Caller, access: Any) -> list[Share]:
    asked = hop.ShareSession(caller=ALICE, session=session, user_id=user.user_id, user=user.user, access=access)
    return (await home.ask(asked)).shares


async def unshare(home: House, session: str, user: str) -> list[Share]:
    return (await home.ask(hop.UnshareSession(caller=ALICE, session=session, user=user))).shares


async def waits(home: House, session: str) -> None:
    """Return when the call of a guest waits."""
    guests = home.sessions.get(ALICE, session).guests
    async with asyncio.timeout(10):
        while not guests.waiting:  # noqa: ASYNC110  a turn of the loop
            await asyncio.sleep(0)


async def test_a_reader_sees_and_does_nothing(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "print('seen')")
    assert await share(home, session, BOB, "read") == [Share(BOB.user_id, BOB.user, "read")]
    assert (await home.ask(hop.GetCell(caller=BOB, session=session, cell=cell.cell))).text == "seen\n"
    assert (await home.ask(hop.PollOutput(caller=BOB, session=session, wait=0.0))).events
    info = await home.ask(hop.SessionInfo(caller=BOB, session=session))
    assert (info.owner, info.access, info.shares) == (ALICE.user_id, "read", [])
    assert [one.session for one in (await home.ask(hop.ListSessions(caller=BOB))).sessions] == [session]
    assert (await home.ask(hop.OpenSession(caller=BOB, session=session))).session == session
    requests: tuple[Any, ...] = (
        hop.Evaluate(caller=BOB, session=session, code="1"),
        hop.Complete(caller=BOB, session=session, code="a"),
        hop.Inspect(caller=BOB, session=session, code="a"),
        hop.Interrupt(caller=BOB, session=session),
        hop.InputReply(caller=BOB, session=session, id="x", value="y"),
        hop.Restart(caller=BOB, session=session),
        hop.OpenSession(caller=BOB, session=session, start=True),
    )
    for request in requests:
        with pytest.raises(AccessDenied, match="for reading only"):
            await home.ask(request)


async def test_a_writer_runs_and_owns_nothing(home: House) -> None:
    session = await home.open()
    await share(home, session, BOB, "write")
    ran = await home.ask(hop.Evaluate(caller=BOB, session=session, code="6 * 7"))
    assert (ran.text, ran.user, ran.user_id) == ("42", BOB.user, BOB.user_id)
    requests: tuple[Any, ...] = (
        hop.CloseSession(caller=BOB, session=session),
        hop.CloseSession(caller=BOB, session=session, delete=True),
        hop.ShareSession(caller=BOB, session=session, user_id="x", user="x", access="read"),
        hop.UnshareSession(caller=BOB, session=session, user=BOB.user),
    )
    for request in requests:
        with pytest.raises(AccessDenied, match="only the owner"):
            await home.ask(request)


@pytest.mark.parametrize(("access", "closed"), [("read", True), ("write", False)])
async def test_who_opens_a_closed_session_again(home: House, access: str, closed: bool) -> None:
    session = await home.open()
    await share(home, session, BOB, access)
    await home.ask(hop.CloseSession(caller=ALICE, session=session))
    await home.ask(hop.OpenSession(caller=BOB, session=session))
    assert (await home.ask(hop.SessionInfo(caller=ALICE, session=session))).closed is closed


@pytest.mark.parametrize(
    "asked",
    [
        hop.PollOutput(caller=BOB, session="", cell="bobs", cursor=1, wait=60.0),
        hop.Evaluate(caller=BOB, session="", code="1", cell="other", wait=60.0),
    ],
    ids=["poll", "evaluate"],
)
async def test_unsharing_ends_what_waits(home: House, asked: Any) -> None:
    session = await home.open()
    await share(home, session, BOB, "write")
    await share(home, session, EVE, "read")
    await home.evaluate(session, "import time; time.sleep(60)", wait=0.0)
    queued = await home.ask(hop.Evaluate(caller=BOB, session=session, code="1", cell="bobs", wait=0.0))
    changes = {"cursor": queued.cursor} if isinstance(asked, hop.PollOutput) else {}
    call = asyncio.create_task(home.ask(structs.replace(asked, session=session, **changes)))
    await waits(home, session)

    assert [one.user for one in await unshare(home, session, "BOB")] == [EVE.user]

    with pytest.raises(SessionNotFound, match="no such session"):
        await asyncio.wait_for(call, 10)
    with pytest.raises(SessionNotFound):
        await home.ask(hop.GetCell(caller=BOB, session=session, cell="bobs"))
    assert (await home.ask(hop.ListSessions(caller=BOB))).sessions == []
    # his cells are the session's: they go on
    assert (await home.ask(hop.GetCell(caller=ALICE, session=session, cell="bobs"))).state == "queued"


async def test_whoever_stays_waits_on(home: House) -> None:
    session = await home.open()
    await share(home, session, BOB, "read")
    await share(home, session, EVE, "read")
    call = asyncio.create_task(home.ask(hop.PollOutput(caller=EVE, session=session, wait=60.0)))
    await waits(home, session)
    await unshare(home, session, BOB.user)
    await home.evaluate(session, "1")
    assert (await asyncio.wait_for(call, 10)).events


async def test_a_share_can_be_changed_and_keeps_its_place(home: House) -> None:
    session = await home.open()
    await share(home, session, BOB, "read")
    await share(home, session, EVE, "read")
    assert [(one.user, one.access) for one in await share(home, session, BOB, "write")] == [
        (BOB.user, "write"),
        (EVE.user, "read"),
    ]


async def test_the_owner_and_strangers_are_no_guests(home: House) -> None:
    session = await home.open()
    with pytest.raises(InvalidArgument, match="another user than the owner"):
        await share(home, session, ALICE, "read")
    with pytest.raises(InvalidArgument, match="with whom the session is shared"):
        await unshare(home, session, "bob")


async def test_a_user_of_the_same_name_inherits_nothing(home: House) -> None:
    session = await home.open()
    await share(home, session, BOB, "write")
    again = Caller("u-other", BOB.user)
    with pytest.raises(SessionNotFound):
        await home.ask(hop.SessionInfo(caller=again, session=session))
    await share(home, session, again, "read")
    assert await unshare(home, session, BOB.user) == []  # both of that name


async def test_shares_are_bounded(tmp_path: Path) -> None:
    async with house(tmp_path / "state", shares_per_session=1) as home:
        session = await home.open()
        await share(home, session, BOB, "read")
        await share(home, session, BOB, "write")
        with pytest.raises(LimitExceeded, match="shares_per_session"):
            await share(home, session, EVE, "read")


async def test_shares_outlive_the_host(tmp_path: Path) -> None:
    async with house(tmp_path / "state") as home:
        session = await home.open()
        await share(home, session, BOB, "write")
    async with house(tmp_path / "state") as home:
        info = await home.ask(hop.SessionInfo(caller=ALICE, session=session))
        assert info.shares == [Share(BOB.user_id, BOB.user, "write")]
        with pytest.raises(CellNotFound):
            await home.ask(hop.GetCell(caller=BOB, session=session, cell="none"))
