"""A kernel that speaks no more than the protocol, and speaks it oddly."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge import hop
from kernel_bridge.errors import KernelBusy, NotWaitingForInput
from tests.kernel.house import ALICE, House, house
from tests.kernel.other_kernels import install_echo

DEADLINE_S = 0.3
GRACE_S = 0.3


@pytest.fixture
async def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    install_echo(tmp_path / "jupyter", monkeypatch)
    async with house(tmp_path / "state", idle_grace_s=GRACE_S, introspection_s=DEADLINE_S) as made:
        yield made


async def _gaps(home: House, session: str, cell: str) -> list[str]:
    return [event.content["reason"] for event in await home.events(session, cell=cell) if event.type == "gap"]


async def test_it_evaluates(echo: House) -> None:
    session = await echo.open(kernel="echo")
    cell = await echo.evaluate(session, "hello")
    assert (cell.end, cell.text, cell.execution_count) == ("ok", "hello\n", 1)
    assert await _gaps(echo, session, cell.cell) == []


@pytest.mark.parametrize(
    "asked",
    [
        hop.Complete(caller=ALICE, session="", code="he"),
        hop.Inspect(caller=ALICE, session="", code="hello"),
        hop.IsComplete(caller=ALICE, session="", code="hello"),
    ],
    ids=["complete", "inspect", "is_complete"],
)
async def test_what_it_never_answers_is_busy_at_the_deadline(echo: House, asked: Any) -> None:
    session = await echo.open(kernel="echo", start=True)
    with pytest.raises(KernelBusy) as caught:
        async with asyncio.timeout(10 * DEADLINE_S):
            await echo.ask(type(asked)(caller=ALICE, session=session, code=asked.code))
    assert caught.value.deadline_s == DEADLINE_S
    assert (await echo.evaluate(session, "hello")).end == "ok"


async def test_it_says_next_to_nothing_of_itself(echo: House) -> None:
    """A kernel_info_reply without any of its members, and messages to comms that it has not."""
    session = await echo.open(kernel="echo")
    info = await echo.ask(hop.KernelInfo(caller=ALICE, session=session))
    assert (info.implementation, info.language_info, info.lossless) == ("", {}, False)
    await echo.ask(hop.CommOpen(caller=ALICE, session=session, target_name="t", comm_id="c"))
    await echo.ask(hop.CommMsg(caller=ALICE, session=session, comm_id="c"))
    assert (await echo.evaluate(session, "hello")).end == "ok"
    seen = await echo.ask(hop.SessionInfo(caller=ALICE, session=session))
    assert (seen.language, seen.lossless, seen.kernel_state) == (None, False, "idle")
    spec = (await echo.ask(hop.ListKernels(caller=ALICE))).kernels[0]
    assert (spec.name, spec.language, spec.lossless) == ("echo", "echo", False)
    book = await echo.ask(hop.ExportNotebook(caller=ALICE, session=session))
    assert [cell.source for cell in book.cells] == ["hello"]


async def test_idle_before_the_reply(echo: House) -> None:
    session = await echo.open(kernel="echo")
    cell = await echo.evaluate(session, "idle-first")
    assert (cell.end, cell.text) == ("ok", "idle-first\n")
    assert await _gaps(echo, session, cell.cell) == []


async def test_without_idle_the_reply_decides(echo: House) -> None:
    session = await echo.open(kernel="echo")
    cell = await echo.evaluate(session, "no-idle")
    assert (cell.end, cell.text) == ("ok", "no-idle\n")
    assert await _gaps(echo, session, cell.cell) == ["the kernel sent no idle for this cell"]
    assert (await echo.evaluate(session, "hello")).end == "ok"


async def test_without_a_reply_nobody_knows(echo: House) -> None:
    session = await echo.open(kernel="echo")
    cell = await echo.evaluate(session, "no-reply")
    assert (cell.end, cell.text) == ("lost", "no-reply\n")
    assert await _gaps(echo, session, cell.cell) == ["the kernel sent no reply for this cell"]
    assert (await echo.evaluate(session, "hello")).end == "ok"


async def test_what_it_did_not_sign_is_nothing(echo: House) -> None:
    session = await echo.open(kernel="echo")
    cell = await echo.evaluate(session, "forged")
    assert (cell.end, cell.text) == ("ok", "forged\n")


async def test_it_dies_on_request(echo: House) -> None:
    session = await echo.open(kernel="echo")
    dying = asyncio.create_task(echo.evaluate(session, "die"))
    queued = asyncio.create_task(echo.evaluate(session, "hello"))
    cell = await dying
    assert (cell.end, cell.exit and cell.exit.code) == ("kernel_died", 7)
    assert (await queued).end == "aborted"
    assert (await echo.evaluate(session, "hello")).end == "ok"


async def test_it_is_interrupted_by_message(echo: House) -> None:
    session = await echo.open(kernel="echo")
    running = asyncio.create_task(echo.evaluate(session, "wait"))
    await echo.until(session, "stream", text="waiting\n")
    with pytest.raises(KernelBusy):  # it has no subshell, so the cell is waited for
        await echo.ask(hop.Complete(caller=ALICE, session=session, code="he"))
    done = await echo.ask(hop.Interrupt(caller=ALICE, session=session))
    assert (done.step, done.end, (await running).end) == ("interrupt", "interrupted", "interrupted")
    assert (await echo.ask(hop.Interrupt(caller=ALICE, session=session))).step == "not_running"
    assert (await echo.evaluate(session, "hello")).end == "ok"


async def test_it_is_restarted_while_it_waits(echo: House) -> None:
    session = await echo.open(kernel="echo")
    running = asyncio.create_task(echo.evaluate(session, "wait"))
    await echo.until(session, "stream", text="waiting\n")
    restarted = await echo.ask(hop.Restart(caller=ALICE, session=session))
    assert (restarted.cell, (await running).end) == ((await running).cell, "restarted")
    assert (await echo.evaluate(session, "hello")).execution_count == 1


async def test_it_asks_for_input(echo: House) -> None:
    session = await echo.open(kernel="echo")
    running = asyncio.create_task(echo.evaluate(session, "ask", allow_stdin=True))
    asked = await echo.until(session, "input_request")
    assert (asked.content["prompt"], asked.content["password"]) == ("? ", False)
    answer = hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="42")
    await echo.ask(answer)
    with pytest.raises(NotWaitingForInput):
        await echo.ask(answer)
    assert (await running).text == "42\n"
