"""update_display_data for displays of earlier cells, on a real kernel."""

import asyncio

import msgspec
import pytest

from kernel_bridge import hop, results
from kernel_bridge.outputs import OutputFold
from tests.kernel.house import ALICE, House, decoded, house

SHOW = "from IPython.display import display, update_display\n"


async def get(home: House, session: str, cell: str) -> results.Cell:
    return await home.ask(hop.GetCell(caller=ALICE, session=session, cell=cell))


def records(home: House, session: str) -> list[bytes]:
    return (home.root / "sessions" / session / "cells.jsonl").read_bytes().splitlines()


async def printed(home: House, session: str, text: str) -> None:
    """Return when this text came, however many events come before it."""
    cursor = 0
    async with asyncio.timeout(20):
        while True:
            page = await home.poll(session, cursor=cursor, limit=10_000)
            if any(event.type == "stream" and event.content["text"] == text for event in decoded(page)):
                return
            cursor = page.cursor


async def test_a_later_cell_changes_what_an_earlier_one_shows(home: House) -> None:
    session = await home.open()
    made = await home.evaluate(session, f"{SHOW}print('a')\nd = display('old', display_id='d'); 7", cell="made")
    assert made.displays == {"d": [1]}
    updating = await home.evaluate(session, "d.update('new')", cell="updates")
    assert (updating.outputs, updating.displays) == ([], {})
    after = await get(home, session, "made")
    assert after.outputs[1]["data"] == {"text/plain": "'new'"}
    assert (after.text, after.displays, after.cursor) == ("a\n'new'\n7", {"d": [1]}, made.cursor)
    changed = msgspec.structs.replace(made, outputs=after.outputs, text=after.text)
    assert after == changed
    assert msgspec.json.decode(records(home, session)[-1], type=results.Cell) == after
    assert await home.evaluate(session, made.code, cell="made") == after
    (listed, _) = (await home.ask(hop.ListCells(caller=ALICE, session=session, outputs=True))).cells
    assert listed.text == after.text


async def test_it_shows_while_the_later_cell_runs_and_a_flood_costs_one_record(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = 0
    restored = OutputFold.restored

    def counted(*args: object) -> OutputFold:
        nonlocal folds
        folds += 1
        return restored(*args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(OutputFold, "restored", counted)
    session = await home.open()
    await home.evaluate(session, f"{SHOW}d = display('old', display_id='d')", cell="made")
    flood = "for n in range(2000): d.update(n)\nprint('done')\nimport time; time.sleep(60)"
    running = asyncio.create_task(home.evaluate(session, flood, cell="flood"))
    await printed(home, session, "done\n")
    assert folds == 0
    before = len(records(home, session))
    assert (await get(home, session, "made")).text == "1999"
    assert (folds, len(records(home, session))) == (1, before)
    await home.ask(hop.Interrupt(caller=ALICE, session=session))
    await running
    assert (folds, len(records(home, session))) == (2, before + 2)
    assert (await get(home, session, "made")).text == "1999"
    assert folds == 2


async def test_an_update_that_no_cell_makes(home: House) -> None:
    session = await home.open()
    code = (
        f"{SHOW}import threading\ngo = threading.Event()\nd = display('old', display_id='d')\n"
        "def later():\n    go.wait(20); d.update('from a thread')\n"
        "threading.Thread(target=later).start()"
    )
    made = await home.evaluate(session, code, cell="made")
    ended = await home.evaluate(session, "go.set()")
    await home.until(session, "update_display_data", cursor=made.cursor)
    assert (await get(home, session, "made")).text == "'from a thread'"
    assert ended.end == "ok"
    await home.ask(hop.CloseSession(caller=ALICE, session=session))
    assert (await get(home, session, "made")).text == "'from a thread'"


async def test_several_cells_and_several_displays(home: House) -> None:
    session = await home.open()
    for name in ("one", "two"):
        await home.evaluate(
            session, f"{SHOW}display('a', display_id='shared'); display('b', display_id='{name}');", cell=name
        )
    code = "update_display('A', display_id='shared'); update_display('B', display_id='two')"
    await home.evaluate(session, f"{code}; update_display('?', display_id='unknown')")
    assert [(await get(home, session, name)).text for name in ("one", "two")] == ["'A'\n'b'", "'A'\n'B'"]
    await home.evaluate(session, "update_display('C', display_id='two')")
    assert [(await get(home, session, name)).text for name in ("one", "two")] == ["'A'\n'b'", "'A'\n'C'"]


async def test_what_did_not_fit_stays_missing_and_an_update_too_large_is_dropped(home: House) -> None:
    async with house(home.root / "small", cell_output_bytes=4096) as small:
        session = await small.open()
        code = f"{SHOW}display('old', display_id='d')\nfor n in range(3000): print('line', n)"
        made = await small.evaluate(session, code, cell="made")
        assert made.outputs_truncated is not None
        assert made.outputs_truncated.at == 2
        await small.evaluate(session, "update_display('new', display_id='d')")
        after = await get(small, session, "made")
        assert after.text == made.text.replace("'old'", "'new'")
        assert after.outputs_truncated == made.outputs_truncated
        assert after.outputs[1:] == made.outputs[1:]
        await small.evaluate(session, "update_display('x' * 10_000, display_id='d')")
        dropped = await get(small, session, "made")
        assert dropped.displays == {}
        assert len(msgspec.json.encode(dropped.outputs)) < 8192
        assert dropped.outputs_truncated is not None
        assert dropped.outputs_truncated.events > made.outputs_truncated.events


async def test_the_next_host_goes_on_and_a_crash_loses_no_update(home: House) -> None:
    async with house(home.root / "h") as first:
        session = await first.open()
        await first.evaluate(session, f"{SHOW}d = display('old', display_id='d')", cell="made")
        updated = await first.evaluate(session, "d.update('new')", cell="updates")
    path = home.root / "h" / "sessions" / session / "cells.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert [b'"cell":"made"' in line for line in lines] == [True, False, True]
    path.write_bytes(lines[0])  # as after kill -9 while the second cell ran
    async with house(home.root / "h") as second:
        second.sessions.expect_recovery()
        await second.sessions.recover()
        assert (await get(second, session, "made")).text == "'new'"
        assert (await get(second, session, "updates")).end == updated.end
        await second.evaluate(session, f"{SHOW}update_display('newer', display_id='d')")
        assert (await get(second, session, "made")).text == "'newer'"
    async with house(home.root / "h") as third:
        assert (await get(third, session, "made")).text == "'newer'"
