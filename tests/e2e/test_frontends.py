"""Several front ends on one session, and several sessions beside each other."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.client import CallFailed, Client, Event

LINES = 10
SEED = f"import time\nfor i in range({LINES}): time.sleep(0.2); print(i); i**2"


async def _follow(client: Client, cell: str) -> tuple[list[Event], str]:
    """What one front end sees of a cell, and in which state the cell was when the first line had arrived."""
    events: list[Event] = []
    cursor, state = 0, ""
    while True:
        page = await client.poll(cursor, wait=60)
        events += page.events
        cursor = page.cursor
        if not state and any(event.type == "stream" for event in events):
            state = (await client.cell(cell)).state
        if any(event.cell == cell and event.content.get("state") == "done" for event in page.events):
            return events, state


async def test_both_front_ends_see_each_line_as_it_is_printed(client: Client, anybody: Client) -> None:
    other = await anybody.log_in(session=client.session)
    assert other.token != client.token
    cell = await client.evaluate(SEED, wait=0, cell="seed")
    assert cell.state in ("queued", "running")

    (mine, my_state), (theirs, their_state) = await asyncio.gather(_follow(client, "seed"), _follow(other, "seed"))

    assert (my_state, their_state) == ("running", "running")  # well before the end
    assert mine == theirs
    assert [event.seq for event in mine] == list(range(1, len(mine) + 1))
    assert [event.content["code"] for event in theirs if event.type == "execute_input"] == [SEED]
    lines = [event for event in theirs if event.type == "stream"]
    assert "".join(event.content["text"] for event in lines) == "".join(f"{i}\n" for i in range(LINES))
    assert len(lines) >= LINES // 2  # as printed, not in one piece at the end
    done = next(event for event in theirs if event.content.get("state") == "done")
    assert done.content["end"] == "ok"
    running = next(event for event in theirs if event.content.get("state") == "running")
    assert (await client.cell("seed")).text == "".join(f"{i}\n" for i in range(LINES))
    # RFC 3339 with milliseconds in UTC sorts as text
    middle = [event.time for event in lines][len(lines) // 2]
    assert running.time < lines[0].time < middle < done.time


async def test_text_is_what_a_terminal_shows(client: Client) -> None:
    cell = await client.evaluate("print('one'); print('two')\n3")
    assert cell.text == "one\ntwo\n3"


async def test_sessions_never_wait_for_each_other(client: Client, anybody: Client) -> None:
    other = await anybody.log_in()
    await client.evaluate("import time; time.sleep(30)", wait=0, cell="long")
    await client.until("cell", state="running")

    assert (await other.evaluate("6 * 7")).text == "42"

    assert (await client.cell("long")).state == "running"
    await client.call("interrupt")
    await other.call("close_session", delete=True)


@pytest.mark.parametrize("busy", ["import time; time.sleep(30)", "while True: pass"], ids=["sleep", "loop"])
async def test_complete_and_inspect_answer_while_a_cell_runs(client: Client, busy: str) -> None:
    await client.evaluate("import os\ndef answer(of):\n    'Forty-two.'")
    await client.evaluate(busy, wait=0, cell="busy")
    await client.until("execute_input", code=busy)

    completion = await client.call("complete", code="os.pa")
    assert "path" in [match["text"] for match in completion["matches"]]
    found = await client.call("inspect", code="answer")
    assert (found["docstring"], found["signature"]) == ("Forty-two.", "answer(of)")

    assert (await client.cell("busy")).state == "running"
    await client.call("interrupt")


async def test_the_other_front_end_answers_an_input(client: Client, anybody: Client) -> None:
    other = await anybody.log_in(session=client.session)
    await client.evaluate("name = input('Your name? ')\nprint('hello', name)", wait=0, cell="ask", allow_stdin=True)
    asked = await other.until("input_request")
    assert (asked.cell, asked.content["prompt"], asked.content["password"]) == ("ask", "Your name? ", False)
    assert (await client.cell("ask")).state == "waiting_input"

    taken = await other.call("input_reply", id=asked.content["id"], value="Ada \U0001d54f")

    assert taken["accepted"]
    await client.fails(-32023, "input_reply", id=asked.content["id"], value="too late")
    await client.done("ask")
    cell = await client.cell("ask")
    assert (cell.end, cell.text.splitlines()[-1]) == ("ok", "hello Ada \U0001d54f")
    await client.fails(-32023, "input_reply", id="never-asked", value="")


async def test_a_password_is_kept_nowhere(client: Client) -> None:
    secret = "correct-horse-battery-staple"
    client.service.private.add(secret)
    await client.evaluate(
        "import getpass\nword = getpass.getpass('Password: ')\nlen(word)", wait=0, cell="pass", allow_stdin=True
    )
    asked = await client.until("input_request")
    assert asked.content["password"] is True

    await client.call("input_reply", id=asked.content["id"], value=secret)

    await client.done("pass")
    assert str(len(secret)) in (await client.cell("pass")).text
    assert not [path for path in _files(client.service.state_dir) if secret.encode() in path.read_bytes()]
    # that the search can find something
    assert [path for path in _files(client.service.state_dir) if b"getpass.getpass" in path.read_bytes()]


async def test_without_allow_stdin_an_input_is_an_error_of_the_cell(client: Client) -> None:
    cell = await client.evaluate("input('?')")
    assert (cell.end, cell.outputs[-1]["ename"]) == ("error", "StdinNotImplementedError")


async def test_logout_ends_the_token_and_not_the_session(client: Client, anybody: Client) -> None:
    await client.evaluate("kept = 1")
    await client.call("logout")
    with pytest.raises(AssertionError, match="401"):
        await client.call("whoami")
    again = await anybody.log_in(session=client.session)
    assert (await again.evaluate("kept")).text == "1"


async def test_a_session_of_nobody(anybody: Client) -> None:
    with pytest.raises(CallFailed, match="-32010"):
        await anybody.log_in(session="nobody.has-this")


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
