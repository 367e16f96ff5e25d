"""list_cells, history, export_notebook, session_info, is_complete and kernel_info on a real kernel."""

import asyncio
from typing import Any

import msgspec
import nbformat
import pytest

from kernel_bridge import hop, results, worksheet_results
from kernel_bridge.errors import InvalidArgument, LimitExceeded, SessionNotFound
from tests.kernel.house import ALICE, BOB, House, house


async def listed(home: House, session: str, **members: Any) -> worksheet_results.CellList:
    return await home.ask(hop.ListCells(caller=ALICE, session=session, **members))


async def history(home: House, session: str, **members: Any) -> worksheet_results.History:
    return await home.ask(hop.History(caller=ALICE, session=session, **members))


async def test_ended_and_live_cells_come_in_the_order_in_which_they_were_queued(home: House) -> None:
    session = await home.open()
    assert await listed(home, session) == worksheet_results.CellList([], None)
    await home.evaluate(session, "print('x')", cell="first")
    running = asyncio.create_task(home.evaluate(session, "print('y'); import time; time.sleep(60)", cell="running"))
    await home.until(session, "stream", text="y\n")
    for cell in ("waits", "cancelled", "last"):
        await home.evaluate(session, "1", cell=cell, wait=0.0)
    await home.ask(hop.Interrupt(caller=ALICE, session=session, cell="cancelled"))
    page = await listed(home, session)
    assert [(cell.cell, cell.state, cell.end) for cell in page.cells] == [
        ("first", "done", "ok"),
        ("running", "running", None),
        ("waits", "queued", None),
        ("cancelled", "done", "cancelled"),
        ("last", "queued", None),
    ]
    assert page.after is None
    assert {(cell.text, cell.outputs, cell.payload) for cell in page.cells} == {(None, None, None)}
    whole = await listed(home, session, outputs=True, limit=2)
    assert [cell.text for cell in whole.cells] == ["x\n", "y\n"]
    assert whole.after == "running"
    rest = await listed(home, session, limit=2, after=whole.after)
    assert ([cell.cell for cell in rest.cells], rest.after) == (["waits", "cancelled"], "cancelled")
    assert [cell.cell for cell in (await listed(home, session, after="cancelled")).cells] == ["last"]
    assert (await listed(home, session, after="last")).cells == []
    with pytest.raises(InvalidArgument, match="`after`"):
        await listed(home, session, after="unknown")
    await home.ask(hop.Interrupt(caller=ALICE, session=session))
    await running


async def test_a_listed_cell_with_outputs_is_the_cell(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "print(1); 2", metadata={"mine": 1}, user_expressions={"a": "1"})
    (found,) = (await listed(home, session, outputs=True)).cells
    assert msgspec.to_builtins(found) == msgspec.to_builtins(cell)


async def test_pages_are_bounded_in_bytes_and_hold_one_cell_at_least(home: House) -> None:
    session = await home.open()
    for cell in ("a", "b", "c"):
        await home.evaluate(session, "print('x' * 3000)", cell=cell)
    page = await listed(home, session, outputs=True, max_bytes=1024)
    assert ([cell.cell for cell in page.cells], page.after) == (["a"], "a")
    page = await listed(home, session, outputs=True, max_bytes=16_000, after="a")
    assert ([cell.cell for cell in page.cells], page.after) == (["b", "c"], None)
    page = await history(home, session, max_bytes=1024)
    assert [entry.cell for entry in page.entries] == ["a", "b", "c"]


async def test_history_has_what_was_run_and_is_to_be_kept(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "6 * 7", cell="a")
    await home.evaluate(session, "'silent'", silent=True)
    await home.evaluate(session, "'not stored'", store_history=False)
    await home.evaluate(session, "1/0", cell="b")
    await home.evaluate(session, "print('no result')", cell="c")
    running = asyncio.create_task(home.evaluate(session, "import time; time.sleep(60)", cell="d"))
    await home.until(session, "execute_input", code="import time; time.sleep(60)")
    waiting = asyncio.create_task(home.evaluate(session, "'never run'", cell="e"))
    await asyncio.sleep(0)
    await home.ask(hop.Interrupt(caller=ALICE, session=session))
    assert [(await running).end, (await waiting).end] == ["interrupted", "aborted"]
    found = await history(home, session)
    assert [(entry.cell, entry.execution_count, entry.code, entry.end) for entry in found.entries] == [
        ("a", 1, "6 * 7", "ok"),
        ("b", 2, "1/0", "error"),
        ("c", 3, "print('no result')", "ok"),
        ("d", 4, "import time; time.sleep(60)", "interrupted"),
    ]
    assert found.after is None
    assert {(entry.user, entry.result is None) for entry in found.entries} == {("alice", True)}
    page = await history(home, session, limit=2, results=True)
    assert [entry.result for entry in page.entries] == [{"text/plain": "42"}, None]
    assert page.after == "b"
    rest = await history(home, session, limit=2, after=page.after)
    assert ([entry.cell for entry in rest.entries], rest.after) == (["c", "d"], None)


async def test_the_next_host_knows_the_same_worksheet(home: House) -> None:
    async with house(home.root / "other") as first:
        session = await first.open()
        for cell in ("z", "y", "x"):
            await first.evaluate(session, f"'{cell}'", cell=cell, silent=cell == "y")
        before = (await listed(first, session, outputs=True), await history(first, session, results=True))
    async with house(home.root / "other") as second:
        assert (await listed(second, session, outputs=True), await history(second, session, results=True)) == before
        assert [entry.cell for entry in before[1].entries] == ["z", "x"]
        assert (await second.ask(hop.SessionInfo(caller=ALICE, session=session))).cells == 3


RICH = """
import sys
from IPython.display import display, HTML, JSON
print('out'); print('err', file=sys.stderr)
display(HTML('<b>x</b>'), metadata={'a': {'b': 1}})
display(JSON({'n': [1, None]}))
display({'text/plain': 'odd', 'x/strange': {'not': 'allowed'}}, raw=True)
[1, 2]
"""


def document(exported: worksheet_results.Notebook) -> Any:
    """The export as nbformat reads it, valid."""
    text = msgspec.json.encode(exported).decode()
    nbformat.validate(msgspec.json.decode(text))
    return nbformat.reads(text, as_version=4)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


async def export(home: House, session: str, **members: Any) -> worksheet_results.Notebook:
    return await home.ask(hop.ExportNotebook(caller=ALICE, session=session, **members))


async def test_an_exported_notebook_is_valid_and_complete(home: House) -> None:
    session = await home.open()
    empty = document(await export(home, session))
    assert (empty.cells, empty.metadata.kernelspec.name) == ([], "python3")
    assert empty.metadata.language_info.name == "python"
    rich = await home.evaluate(session, RICH, cell="_-Rich-1", metadata={"tags": 5})
    await home.evaluate(session, "1/0")
    await home.evaluate(session, "'silent'", silent=True, cell="silent")
    running = asyncio.create_task(home.evaluate(session, "print('so far'); import time; time.sleep(60)"))
    await home.until(session, "stream", text="so far\n")
    await home.evaluate(session, "'queued'", wait=0.0, cell="queued")
    made = document(await export(home, session))
    assert [cell.source for cell in made.cells][:2] == [RICH, "1/0"]
    assert [cell.execution_count for cell in made.cells] == [1, 2, 3, None]
    first = made.cells[0]
    assert (first.id, first.metadata.kernelwire.end) == ("_-Rich-1", "ok")
    assert first.metadata.kernelwire.metadata == {"tags": 5}
    assert first.metadata.execution["iopub.execute_input"] == rich.started_at
    assert [output.output_type for output in first.outputs] == [
        "stream", "stream", "display_data", "display_data", "display_data", "execute_result",
    ]  # fmt: skip
    assert first.outputs == rich.outputs
    assert made.cells[1].outputs[0].ename == "ZeroDivisionError"
    assert made.cells[2].outputs[0].text == "so far\n"
    assert (made.nbformat, made.nbformat_minor) == (4, 5)
    assert made.metadata.language_info.file_extension == ".py"
    assert made.metadata.kernelspec.language == "python"
    bare = document(await export(home, session, outputs=False))
    assert [cell.outputs for cell in bare.cells] == [[], [], [], []]
    await home.ask(hop.Interrupt(caller=ALICE, session=session))
    await running


async def test_a_notebook_has_a_bound(home: House) -> None:
    async with house(home.root / "small", export_bytes=4000) as small:
        session = await small.open()
        await small.evaluate(session, "print('x' * 3000)")
        await export(small, session)
        await small.evaluate(session, "print('x' * 3000)")
        with pytest.raises(LimitExceeded, match="list_cells") as error:
            await export(small, session)
        assert (error.value.limit, error.value.value) == ("export_bytes", 4000)
        assert len((await export(small, session, outputs=False)).cells) == 2


async def info(home: House, session: str) -> results.SessionInfo:
    return await home.ask(hop.SessionInfo(caller=ALICE, session=session))


async def test_what_is_known_of_a_session(home: House) -> None:
    session = await home.open()
    fresh = await info(home, session)
    assert (fresh.kernel, fresh.kernel_state, fresh.closed, fresh.cells) == ("python3", "none", False, 0)
    assert (fresh.language, fresh.lossless, fresh.running, fresh.input_id) == (None, None, None, None)
    asking = asyncio.create_task(home.evaluate(session, "input()", allow_stdin=True, cell="asks"))
    asked = await home.until(session, "input_request")
    await home.evaluate(session, "1", wait=0.0)
    now = await info(home, session)
    assert (now.language, now.lossless, now.kernel_state, now.queued) == ("python", True, "busy", 1)
    assert (now.running, now.input_id, now.cells) == ("asks", asked.content["id"], 2)
    await home.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value=""))
    await asking
    await home.ask(hop.CloseSession(caller=ALICE, session=session))
    ended = await info(home, session)
    assert (ended.closed, ended.kernel_state, ended.language, ended.cells) == (True, "none", "python", 2)
    requests: tuple[Any, ...] = (
        hop.SessionInfo(caller=BOB, session=session),
        hop.ListCells(caller=BOB, session=session),
        hop.History(caller=BOB, session=session),
        hop.ExportNotebook(caller=BOB, session=session),
        hop.Restart(caller=BOB, session=session),
    )
    for request in requests:
        with pytest.raises(SessionNotFound):
            await home.ask(request)


@pytest.mark.parametrize(
    ("code", "status", "indent"),
    [
        ("1 + 1", "complete", ""),
        ("for x in y:", "incomplete", "    "),
        ("1 +* 2", "invalid", ""),
    ],
)
async def test_whether_code_is_complete(home: House, code: str, status: str, indent: str) -> None:
    session = await home.open()
    found = await home.ask(hop.IsComplete(caller=ALICE, session=session, code=code))
    assert (found.status, found.indent) == (status, indent)


async def test_asking_about_code_while_a_cell_runs_leaves_no_events(home: House) -> None:
    session = await home.open()
    running = asyncio.create_task(home.evaluate(session, "import time; time.sleep(60)"))
    await home.until(session, "execute_input")
    newest = (await info(home, session)).newest
    assert (await home.ask(hop.IsComplete(caller=ALICE, session=session, code="if x:"))).status == "incomplete"
    assert (await info(home, session)).newest == newest
    await home.ask(hop.Interrupt(caller=ALICE, session=session))
    await running


async def test_kernel_info_starts_the_kernel(home: House) -> None:
    session = await home.open()
    found = await home.ask(hop.KernelInfo(caller=ALICE, session=session))
    assert (found.implementation, found.language_info["name"], found.lossless) == ("ipython", "python", True)
    assert found.banner.startswith("Python ")
    assert "kernel subshells" in found.supported_features
    assert found.help_links[0]["url"].startswith("https://")
    assert (await info(home, session)).kernel_state == "idle"
