"""Widgets through the API: comm messages to a real kernel."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest

from kernel_bridge import hop
from kernel_bridge.errors import InvalidArgument, SessionNotFound
from tests.kernel.house import ALICE, BOB, Event, House

SLIDER = """
import ipywidgets
slider = ipywidgets.IntSlider(value=3)
slider.observe(lambda change: print('changed to', change['new']), 'value')
slider
"""
ECHO = """
import comm
def opened(made, message):
    def answer(asked):
        made.send({'got': asked['content']['data']}, buffers=[bytes(b)[::-1] for b in asked['buffers']])
    made.on_msg(answer)
    made.on_close(lambda message: print('closed'))
    made.send({'opened': message['content']['data'], 'metadata': message['metadata']})
comm.get_comm_manager().register_target('echo', opened)
"""


def message(session: str, comm_id: str, data: dict[str, Any], **members: Any) -> hop.CommMsg:
    return hop.CommMsg(caller=ALICE, session=session, comm_id=comm_id, data=data, **members)


def update(session: str, comm_id: str, value: int) -> hop.CommMsg:
    return message(session, comm_id, {"method": "update", "state": {"value": value}, "buffer_paths": []})


async def make_slider(home: House, session: str) -> str:
    """The id of the slider's comm."""
    cell = await home.evaluate(session, SLIDER)
    assert cell.end == "ok"
    return cell.outputs[-1]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]


async def test_a_slider_is_moved_from_outside(home: House) -> None:
    session = await home.open()
    comm_id = await make_slider(home, session)
    opened = [event for event in await home.events(session) if event.type == "comm_open"]
    assert comm_id in [event.content["comm_id"] for event in opened]
    newest = (await home.events(session))[-1].seq
    sent = await home.ask(update(session, comm_id, 42))
    assert sent.comm_id == comm_id
    printed = await home.until(session, "stream", cursor=newest)
    assert (printed.cell, printed.content["text"]) == (None, "changed to 42\n")
    echoed = await home.until(session, "comm_msg", cursor=newest)
    assert echoed.cell is None
    assert (await home.evaluate(session, "slider.value")).text == "42"


async def test_a_cell_that_awaits_hears_of_a_change_and_keeps_its_own_output(home: House) -> None:
    session = await home.open()
    comm_id = await make_slider(home, session)
    waits = "while slider.value < 20: await asyncio.sleep(0.01)"
    code = f"import asyncio\nprint('begin')\n{waits}\nprint('seen', slider.value)"
    cell = asyncio.create_task(home.evaluate(session, code, cell="waits"))
    begun = await home.until(session, "stream", text="begin\n")
    for value in range(10, 21):
        await home.ask(update(session, comm_id, value))
    ended = await cell
    assert (ended.end, ended.text) == ("ok", "begin\nseen 20\n")
    heard = [event for event in await home.events(session, cursor=begun.seq) if event.type == "stream"]
    lines = "".join(event.content["text"] for event in heard if event.cell is None).splitlines()
    # ipykernel flushes what different messages printed within 0.2 s in no particular order
    assert sorted(lines) == sorted(f"changed to {value}" for value in range(10, 21))
    assert (await home.evaluate(session, "'next'")).text == "'next'"


async def answers(home: House, session: str, cursor: int, count: int) -> list[Event]:
    """So many comm_msg events behind the cursor."""
    found: list[Event] = []
    while len(found) < count:
        event = await home.until(session, "comm_msg", cursor=cursor)
        found.append(event)
        cursor = event.seq
    return found


async def test_opening_from_outside_with_metadata_and_buffers(home: House) -> None:
    session = await home.open()
    made = await home.evaluate(session, ECHO)
    asked = hop.CommOpen(
        caller=ALICE, session=session, target_name="echo", data={"a": [1]}, metadata={"version": "2.1.0"}
    )
    comm_id = (await home.ask(asked)).comm_id
    (opened,) = await answers(home, session, made.cursor, 1)
    assert opened.content["comm_id"] == comm_id
    assert opened.content["data"]["opened"] == {"a": [1]}
    assert opened.content["data"]["metadata"]["version"] == "2.1.0"
    for number in range(20):
        await home.ask(message(session, comm_id, {"n": number}, buffers=[bytes([number, 255, 0])]))
    got = await answers(home, session, opened.seq, 20)
    assert [event.content["data"]["got"]["n"] for event in got] == list(range(20))
    assert [event.buffers for event in got] == [[b64encode(bytes([0, 255, number])).decode()] for number in range(20)]
    assert {event.cell for event in got} == {None}
    await home.ask(hop.CommClose(caller=ALICE, session=session, comm_id=comm_id))
    assert (await home.until(session, "stream", text="closed\n")).cell is None
    left = "import comm\nlen(comm.get_comm_manager().comms)"
    assert (await home.evaluate(session, left)).text == "0"


async def test_a_comm_opened_from_outside_does_not_wait_for_cells(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, ECHO)
    cell = asyncio.create_task(home.evaluate(session, "import time\nprint('begin')\ntime.sleep(60)", cell="busy"))
    begun = await home.until(session, "stream", text="begin\n")
    opening = hop.CommOpen(caller=ALICE, session=session, target_name="echo", comm_id="mine")
    await home.ask(opening)
    await home.ask(message(session, "mine", {"n": 1}))
    opened, got = await answers(home, session, begun.seq, 2)
    assert (opened.cell, got.cell) == (None, None)
    assert got.content["data"]["got"] == {"n": 1}
    assert not cell.done()
    await home.ask(hop.Interrupt(caller=ALICE, session=session))
    assert (await cell).end == "interrupted"
    types = [event.type for event in await home.events(session, cursor=begun.seq) if event.cell == "busy"]
    assert types == ["error", "status", "cell"]


async def test_a_callback_that_takes_long_keeps_nobody_waiting(home: House) -> None:
    session = await home.open()
    slow = ECHO.replace("def answer(asked):", "def answer(asked):\n        go.wait(20)")
    await home.evaluate(session, f"import threading\ngo = threading.Event()\n{slow}")
    await home.ask(hop.CommOpen(caller=ALICE, session=session, target_name="echo", comm_id="mine"))
    opened = await home.until(session, "comm_msg")
    await home.ask(message(session, "mine", {"n": 1}))
    assert (await home.evaluate(session, "go.is_set()")).text == "False"
    found = await home.ask(hop.Complete(caller=ALICE, session=session, code="thread"))
    assert "threading" in [match.text for match in found.matches]
    await home.evaluate(session, "go.set()")
    (got,) = await answers(home, session, opened.seq, 1)
    assert got.content["data"]["got"] == {"n": 1}


async def test_without_a_kernel_there_are_no_comms(home: House) -> None:
    session = await home.open()
    for request in (
        hop.CommMsg(caller=ALICE, session=session, comm_id="x"),
        hop.CommClose(caller=ALICE, session=session, comm_id="x"),
    ):
        with pytest.raises(InvalidArgument, match="no kernel runs"):
            await home.ask(request)
    with pytest.raises(SessionNotFound):
        await home.ask(hop.CommMsg(caller=BOB, session=session, comm_id="x"))
    opened = await home.ask(hop.CommOpen(caller=ALICE, session=session, target_name="unknown", comm_id="mine"))
    assert opened.comm_id == "mine"  # starts a kernel, which closes what it does not know
    closed = await home.until(session, "comm_close")
    assert (closed.cell, closed.content["comm_id"]) == (None, "mine")
