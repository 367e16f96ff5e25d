"""A kernel for another language, from PyPI: bash_kernel, through every method that it supports.

It takes seconds to start, so each of its tests is a long one.
"""

import asyncio
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import nbformat
import pytest

from kernel_bridge import hop
from kernel_bridge.errors import KernelBusy, SessionNotFound
from kernel_bridge.results import Cell
from tests.kernel.house import ALICE, House, house
from tests.kernel.other_kernels import install_bash

DEADLINE_S = 1.0


@pytest.fixture
async def bash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    install_bash(tmp_path / "prefix", monkeypatch)
    async with house(tmp_path / "state", idle_grace_s=1.0, introspection_s=DEADLINE_S) as made:
        yield made


async def test_evaluate_and_look(bash: House) -> None:
    spec = {spec.name: spec for spec in (await bash.ask(hop.ListKernels(caller=ALICE))).kernels}["bash"]
    assert (spec.display_name, spec.language, spec.lossless) == ("Bash", "bash", False)
    session = await bash.open(kernel="bash")

    cell = await bash.evaluate(session, "xyzzy=41; echo $((xyzzy + 1)); echo two >&2")
    assert (cell.end, cell.text, cell.execution_count) == ("ok", "42\ntwo\n", 1)
    cell = await bash.evaluate(session, "echo before; false")
    assert (cell.end, cell.text) == ("error", "before\n: 1")
    error = cell.outputs[-1]
    assert (error["output_type"], error["ename"], error["evalue"]) == ("error", "", "1")
    assert (await bash.evaluate(session, "")).end == "ok"
    cell = await bash.evaluate(session, "echo unheard", silent=True)
    assert (cell.end, cell.text, cell.execution_count) == ("ok", "", None)

    found = await bash.ask(hop.Complete(caller=ALICE, session=session, code="echo $xyz"))
    assert ([match.text for match in found.matches], found.cursor_start, found.cursor_end) == (["$xyzzy"], 5, 9)
    seen = await bash.ask(hop.Inspect(caller=ALICE, session=session, code="echo"))
    assert (seen.found, seen.text, seen.docstring) == (False, "", None)
    status = await bash.ask(hop.IsComplete(caller=ALICE, session=session, code="for x in 1 2; do"))
    assert (status.status, status.indent) == ("unknown", "")
    info = await bash.ask(hop.KernelInfo(caller=ALICE, session=session))
    assert (info.implementation, info.language_info["name"], info.lossless) == ("bash_kernel", "bash", False)
    assert "GNU bash" in info.banner
    shown = await bash.ask(hop.SessionInfo(caller=ALICE, session=session))
    assert (shown.language, shown.lossless, shown.kernel_state) == ("bash", False, "idle")
    await bash.ask(hop.CommOpen(caller=ALICE, session=session, target_name="no.such.target"))
    cell = await bash.evaluate(session, "read -t 0.1 line; echo \"got '$line'\"", allow_stdin=True)
    assert (cell.end, cell.text) == ("ok", "got ''\n"), "it never asks: its standard input has no front end"

    # bash_kernel raises an exception and answers nothing; the next cells are none the worse for it
    with pytest.raises(KernelBusy):
        await bash.ask(hop.Complete(caller=ALICE, session=session, code=""))
    cell = await bash.evaluate(session, "echo 'not closed")
    assert cell.end == "lost"
    reasons = [event.content for event in await bash.events(session, cell=cell.cell) if event.type == "gap"]
    assert reasons == [{"reason": "the kernel sent no reply for this cell"}]
    assert (await bash.evaluate(session, "echo $xyzzy")).text == "41\n"

    past = await bash.ask(hop.History(caller=ALICE, session=session))
    assert [entry.code for entry in past.entries][:2] == [
        "xyzzy=41; echo $((xyzzy + 1)); echo two >&2",
        "echo before; false",
    ]
    await _check_notebook(bash, session)


async def _check_notebook(bash: House, session: str) -> None:
    book = await bash.ask(hop.ExportNotebook(caller=ALICE, session=session))
    made = msgspec.to_builtins(book)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nbformat.validate(made)  # pyright: ignore[reportUnknownMemberType]
    assert made["metadata"]["kernelspec"] == {"name": "bash", "display_name": "Bash", "language": "bash"}
    assert made["metadata"]["language_info"]["file_extension"] == ".sh"


async def test_while_a_cell_runs_and_how_it_ends(bash: House) -> None:
    """It says that it has subshells, as ipykernel's base class does; two threads of it would talk to one bash."""
    session = await bash.open(kernel="bash")
    await bash.evaluate(session, "xyzzy=41")
    running = asyncio.create_task(bash.evaluate(session, "echo begin; sleep 60", cell="first"))
    await bash.until(session, "stream", text="begin\n")
    async with asyncio.timeout(3 * DEADLINE_S):
        kinds = (hop.Complete, hop.Inspect, hop.IsComplete)
        asked = [bash.ask(kind(caller=ALICE, session=session, code="echo $xyz")) for kind in kinds]  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType, reportArgumentType]
        answers: list[object] = await asyncio.gather(*asked, return_exceptions=True)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType, reportAssignmentType]
    assert [isinstance(answer, KernelBusy) for answer in answers] == [True] * 3
    queued = asyncio.create_task(bash.evaluate(session, "echo never", cell="queued"))
    done = await bash.ask(hop.Interrupt(caller=ALICE, session=session))
    assert (done.cell, done.step, done.end) == ("first", "interrupt", "interrupted")
    assert ((await running).end, (await queued).end) == ("interrupted", "aborted")
    cell = await bash.evaluate(session, "echo $xyzzy")
    assert (cell.end, cell.text) == ("ok", "41\n"), "bash lives on, and nothing else was said to it"

    cell = await bash.evaluate(session, "kill -9 $PPID", cell="kills")
    assert (cell.end, cell.exit and cell.exit.signal) == ("kernel_died", 9)
    shown = await bash.ask(hop.SessionInfo(caller=ALICE, session=session))
    assert (shown.kernel_state, shown.lossless) == ("dead", False)

    running = asyncio.create_task(bash.evaluate(session, "echo begin; sleep 60", cell="second"))
    await bash.until(session, "stream", cursor=cell.cursor, text="begin\n")
    restarted = await bash.ask(hop.Restart(caller=ALICE, session=session))
    assert (restarted.cell, (await running).end) == ("second", "restarted")

    running = asyncio.create_task(bash.evaluate(session, "echo begin; sleep 60", cell="third"))
    await bash.until(session, "stream", cursor=(await _cell(bash, session, "second")).cursor, text="begin\n")
    await bash.ask(hop.CloseSession(caller=ALICE, session=session))
    ends = [(await _cell(bash, session, name)).end for name in ("first", "second", "third")]
    assert ends == ["interrupted", "restarted", "closed"]
    assert (await running).end == "closed"
    with pytest.raises(SessionNotFound):
        await bash.evaluate(session, "echo 1")


async def _cell(home: House, session: str, cell: str) -> Cell:
    return await home.ask(hop.GetCell(caller=ALICE, session=session, cell=cell))
