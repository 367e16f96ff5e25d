"""What the sessions of one user may take on the disk together."""

from pathlib import Path

import pytest

from kernel_bridge import hop
from kernel_bridge.errors import LimitExceeded
from kernel_bridge.stored_bytes import size_of
from tests.kernel.house import ALICE, BOB, House, house

LIMIT = 20_000
FILL = "print('x' * 15_000)"


def on_disk(home: House) -> int:
    """Without the records, which an open session does not count again."""
    return sum(path.stat().st_size for path in (home.root / "sessions").glob("*/*") if path.name != "session.json")


async def test_cells_and_sessions_are_refused_beyond_it(tmp_path: Path) -> None:
    async with house(tmp_path / "state", stored_bytes_per_user=LIMIT) as home:
        first, second = await home.open(), await home.open()
        kept = await home.evaluate(first, FILL, cell="kept")
        assert home.sessions.stored.of(ALICE.user_id) > LIMIT  # output stands in the log and in the record of the cell
        with pytest.raises(LimitExceeded, match="close_session") as caught:
            await home.evaluate(second, "1")
        assert (caught.value.limit, caught.value.value) == ("stored_bytes_per_user", LIMIT)
        with pytest.raises(LimitExceeded):
            await home.open()
        # reading goes on, and the same cell again stores nothing; others have their own
        assert (await home.evaluate(first, FILL, cell="kept")).text == kept.text
        assert (await home.poll(first, wait=0.0)).events
        await home.ask(hop.OpenSession(caller=BOB))
        await home.ask(hop.CloseSession(caller=ALICE, session=first, delete=True))
        assert (await home.evaluate(second, "1 + 1")).text == "2"


async def test_it_is_what_the_files_take(tmp_path: Path) -> None:
    async with house(tmp_path / "state") as home:
        for _ in range(2):
            session = await home.open()
            await home.evaluate(session, FILL)
            await home.ask(hop.CloseSession(caller=ALICE, session=session))
        counted = home.sessions.stored.of(ALICE.user_id)
        assert counted == on_disk(home)
    async with house(tmp_path / "state") as home:  # a new host looks at the files
        again = home.sessions.stored.of(ALICE.user_id)
        assert again == sum(size_of(path) for path in (home.root / "sessions").iterdir())
        assert counted <= again < counted + 2000
        assert home.sessions.stored.of(BOB.user_id) == 0
