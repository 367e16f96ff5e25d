"""A cell's life: run at most once, ended with a reason, also when the kernel does not live that long."""

import asyncio

import pytest

from tests.e2e.client import Cell, Client, Event

SLEEP = "import time; time.sleep(30)"
DEAF = """
import time
first = True
while True:
    try:
        if first:
            print("deaf", flush=True)
        first = False
        time.sleep(30)
    except KeyboardInterrupt:
        pass
"""


async def _running(client: Client, code: str, cell: str, **params: object) -> None:
    await client.evaluate(code, wait=0, cell=cell, **params)
    await client.until("execute_input", code=code)


async def _end(client: Client, cell: str) -> Cell:
    await client.done(cell)
    return await client.cell(cell)


def _of(events: list[Event], type: str) -> list[Event]:
    return [event for event in events if event.type == type]


async def test_the_same_cell_at_the_same_time_runs_once(client: Client, anybody: Client) -> None:
    await client.evaluate("runs = []")
    other = await anybody.log_in(session=client.session)
    code = "import time; time.sleep(0.2); runs.append(1); len(runs)"
    cells = await asyncio.gather(*(caller.evaluate(code, cell="once") for caller in (client, other) * 5))
    assert {(cell.text, cell.execution_count) for cell in cells} == {("1", 2)}
    assert (await client.evaluate(code, cell="once")).finished_at == cells[0].finished_at
    assert (await client.evaluate("len(runs)")).text == "1"
    await client.fails(-32013, "evaluate", code="other", cell="once")


async def test_a_closed_session_is_opened_again_by_log_in(client: Client, anybody: Client) -> None:
    await client.evaluate("kept = 1", cell="old")
    await _running(client, SLEEP, "running")
    await client.evaluate("2", wait=0, cell="queued")
    assert (await client.call("close_session"))["closed"] is True
    assert [(await client.cell(cell)).end for cell in ("running", "queued")] == ["closed", "closed"]
    failure = await client.fails(-32010, "evaluate", code="kept")
    assert failure.data == {"session": client.session, "closed": True}

    again = await anybody.log_in(session=client.session)

    cell = await again.evaluate("kept")
    assert (cell.end, cell.outputs[0]["ename"]) == ("error", "NameError")
    assert (await again.cell("old")).code == "kept = 1"
    events = (await again.poll()).events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert (await client.evaluate("1 + 1")).text == "2"  # the old token is as good as ever


async def test_delete_removes_everything(anybody: Client) -> None:
    client = await anybody.log_in()
    await client.evaluate("open('mine.txt', 'w').write('x')", cell="one")
    state_dir = client.service.state_dir
    directory = state_dir / "sessions" / client.session
    (file,) = state_dir.glob("workdirs/*/mine.txt")
    assert directory.is_dir()

    closed = await client.call("close_session", delete=True)

    assert (closed["session"], closed["closed"], closed["deleted"]) == (client.session, True, True)
    assert not directory.exists()
    assert not file.parent.exists()
    await client.fails(-32010, "get_cell", cell="one")
    await client.fails(-32010, "open_session", session=client.session)


async def test_timeout(client: Client) -> None:
    await client.evaluate("kept = 1")
    await _running(client, SLEEP, "slow", timeout=0.3)
    await client.evaluate("kept", wait=0, cell="next")
    assert (await _end(client, "slow")).end == "timeout"
    following = await _end(client, "next")
    assert (following.end, following.text) == ("ok", "1")


async def test_a_timeout_that_has_to_kill(client: Client) -> None:
    await _running(client, DEAF, "deaf", timeout=1.5)  # long enough for its code to begin
    await client.evaluate("1", wait=0, cell="next")
    cell = await _end(client, "deaf")
    assert (cell.end, cell.exit and cell.exit["signal"]) == ("timeout", 9)
    assert (await _end(client, "next")).end == "aborted"
    assert (await client.evaluate("1 + 1")).text == "2"


async def test_interrupt_of_the_running_cell(client: Client) -> None:
    await client.evaluate("kept = 1")
    await _running(client, SLEEP, "slow")
    await client.evaluate("kept", wait=0, cell="next")
    result = await client.call("interrupt")
    assert (result["cell"], result["end"]) == ("slow", "interrupted")
    assert result["step"] in ("interrupt", "interrupt_again")
    cell = await client.cell("slow")
    assert (cell.state, cell.outputs[-1]["ename"]) == ("done", "KeyboardInterrupt")
    assert (await client.cell("next")).end == "aborted"
    assert (await client.evaluate("kept")).text == "1"


async def test_interrupt_that_the_code_catches(client: Client) -> None:
    code = (
        "import time\ntry:\n    print('in', flush=True)\n    time.sleep(30)\n"
        "except KeyboardInterrupt:\n    print('caught')"
    )
    await _running(client, code, "catches")
    await client.until("stream")  # before that the interrupt would end the cell before its code has begun
    await client.evaluate("2", wait=0, cell="next")
    await client.call("interrupt", cell="catches")
    cell = await _end(client, "catches")
    assert (cell.end, cell.text) == ("ok", "in\ncaught\n")
    assert (await _end(client, "next")).end == "ok"


async def test_interrupt_that_has_to_kill(client: Client) -> None:
    await _running(client, DEAF, "deaf")
    await client.until("stream")  # before that the interrupt would end the cell before its code has begun
    result = await client.call("interrupt")
    assert (result["step"], result["end"]) == ("killed", "interrupted")
    page = await client.poll()
    assert page.kernel_state in ("dead", "none")
    assert (await client.evaluate("1 + 1")).text == "2"


async def test_interrupt_of_a_queued_cell(client: Client) -> None:
    await _running(client, SLEEP, "slow")
    for cell in ("first", "second"):
        await client.evaluate(f"{cell!r}", wait=0, cell=cell)
    assert await client.call("interrupt", cell="first") == {"cell": "first", "step": "cancelled", "end": "cancelled"}
    assert (await client.cell("slow")).state == "running"
    assert (await client.cell("second")).state == "queued"
    again = await client.call("interrupt", cell="first")
    assert (again["step"], again["end"]) == ("not_running", "cancelled")
    await client.call("interrupt")


async def test_interrupt_when_nothing_runs(client: Client) -> None:
    assert await client.call("interrupt") == {"cell": None, "step": "not_running", "end": None}
    await client.evaluate("1")
    assert (await client.call("interrupt"))["step"] == "not_running"
    assert (await client.evaluate("1 + 1")).text == "2"


@pytest.mark.parametrize(
    ("code", "exit"),
    [
        ("import os; os._exit(3)", {"code": 3, "signal": None}),
        ("import os; os.kill(os.getpid(), 9)", {"code": None, "signal": 9}),
    ],
)
async def test_the_kernel_dies(client: Client, code: str, exit: dict[str, object]) -> None:
    await client.evaluate("kept = 1; open('file', 'w').write('kept')")
    # the kernel's own socket needs a moment to let the text go
    cell = await client.evaluate("import time; print('before', flush=True); time.sleep(0.3)\n" + code)
    assert (cell.state, cell.end, cell.text) == ("done", "kernel_died", "before\n")
    assert cell.exit is not None
    assert exit.items() <= cell.exit.items()
    assert (await client.poll()).kernel_state == "dead"

    after = await client.evaluate("open('file').read(), 'kept' in globals()")

    assert after.text == "('kept', False)"
    assert len(_of((await client.poll()).events, "notice")) == 1


async def test_the_queue_of_a_kernel_that_dies_is_aborted(client: Client) -> None:
    await _running(client, "import os, time; time.sleep(0.3); os._exit(1)", "dies")
    await client.evaluate("1", wait=0, cell="next")
    assert (await _end(client, "dies")).end == "kernel_died"
    assert (await _end(client, "next")).end == "aborted"


@pytest.mark.parametrize("code", ["exit()", "quit", "import sys; sys.exit()", "import sys; sys.exit(5)"])
async def test_leaving_python(client: Client, code: str) -> None:
    """Whatever the kernel makes of it, the cell ends and the session works on."""
    cell = await client.evaluate(code)
    assert (cell.state, cell.end in ("ok", "error", "kernel_died")) == ("done", True)
    after = await client.evaluate("1 + 1", wait=30)
    assert (after.end, after.text) == ("ok", "2")


async def test_an_error_aborts_the_queue_of_all_front_ends(client: Client, anybody: Client) -> None:
    other = await anybody.log_in(session=client.session)
    await _running(client, "import time; time.sleep(0.3); 1 / 0", "fails")
    await other.evaluate("2", wait=0, cell="theirs")
    assert (await _end(client, "fails")).end == "error"
    assert (await _end(other, "theirs")).end == "aborted"
    assert (await other.evaluate("1 + 1")).text == "2"


async def test_stop_on_error_false(client: Client) -> None:
    await _running(client, "import time; time.sleep(0.3); 1 / 0", "fails", stop_on_error=False)
    await client.evaluate("'on'", wait=0, cell="next")
    assert (await _end(client, "fails")).end == "error"
    following = await _end(client, "next")
    assert (following.end, following.text) == ("ok", "'on'")


async def test_wait_bounds_the_answer_only(client: Client) -> None:
    cell = await client.evaluate("import time; time.sleep(0.5); 'late'", wait=0.05, cell="slow")
    assert (cell.state in ("queued", "running"), cell.end) == (True, None)
    assert (await client.evaluate("import time; time.sleep(0.5); 'late'", cell="slow")).text == "'late'"


async def test_text_beyond_the_bmp(client: Client) -> None:
    cell = await client.evaluate("name = '\U0001d54f\U0001f600ä'\nprint(name)\nname")
    assert cell.text == "\U0001d54f\U0001f600ä\n'\U0001d54f\U0001f600ä'"
    # positions are code points: each of the two characters counts one
    code = "'\U0001d54f\U0001f600'.uppe + 1"
    completion = await client.call("complete", code=code, cursor_pos=9)
    assert [match["text"] for match in completion["matches"]] == ["upper"]
    assert (completion["cursor_start"], completion["cursor_end"]) == (5, 9)
    code = "'\U0001d54f\U0001f600'; len; abs"
    for position, name in ((8, "len"), (13, "abs")):
        found = await client.call("inspect", code=code, cursor_pos=position)
        assert (found["found"], found["name"]) == (True, name)
    await client.fails(-32602, "inspect", code=code, cursor_pos=len(code) + 1)


async def test_question_marks(client: Client) -> None:
    await client.evaluate("def twice(x):\n    'Two times x.'\n    return 2 * x")
    brief = await client.call("inspect", code="twice?")
    assert (brief["docstring"], brief["source"]) == ("Two times x.", None)
    full = await client.call("inspect", code="??twice")
    assert "return 2 * x" in full["source"]
    assert "\x1b" not in full["text"]
    page = await client.evaluate("twice?")
    assert "Two times x." in page.text
    assert page.outputs[0]["metadata"]["kernelwire"] == {"page": True}
    assert (await client.call("inspect", code="nothing_of_that_name"))["found"] is False


async def test_outputs_of_many_kinds(client: Client) -> None:
    await client.evaluate("x = 2")
    cell = await client.evaluate(
        "import sys\nfrom IPython.display import HTML, display\n"
        "print('out'); print('err', file=sys.stderr)\ndisplay(HTML('<b>bold</b>'))\n'end'",
        metadata={"document": {"id": "\U0001d54f"}},
        user_expressions={"double": "2 * x", "bad": "1 / 0"},
    )
    assert [output["output_type"] for output in cell.outputs] == ["stream", "stream", "display_data", "execute_result"]
    assert cell.outputs[2]["data"]["text/html"] == "<b>bold</b>"
    assert cell.metadata == {"document": {"id": "\U0001d54f"}}
    assert cell.user_expressions is not None
    assert cell.user_expressions["double"]["data"]["text/plain"] == "4"
    assert cell.user_expressions["bad"]["ename"] == "ZeroDivisionError"


async def test_a_flood_is_whole(client: Client) -> None:
    lines = 20_000
    cell = await client.evaluate(f"for i in range({lines}): print(i)", wait=60, cell="flood")
    assert cell.end == "ok"
    text = "".join(event.content["text"] for event in await client.done("flood") if event.type == "stream")
    assert text == "".join(f"{i}\n" for i in range(lines))


async def test_cells_of_a_session_run_in_order(client: Client) -> None:
    await client.evaluate("seen = []")
    for number in range(20):
        await client.evaluate(f"seen.append({number})", wait=0)
    assert (await client.evaluate("seen == list(range(20))")).text == "True"
