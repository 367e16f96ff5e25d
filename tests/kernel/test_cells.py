"""Cells on a real kernel: states, ends, order, at most once."""

import asyncio

import pytest

from kernel_bridge import hop
from kernel_bridge.errors import CellConflict, CellNotFound, InvalidArgument, LimitExceeded, NotWaitingForInput
from tests.kernel.house import ALICE, House, decoded, house


async def test_a_cell_from_queued_to_done(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "print('a')\n6 * 7", metadata={"mine": [1]})
    assert (cell.state, cell.end, cell.execution_count, cell.text) == ("done", "ok", 1, "a\n42")
    assert cell.outputs == [
        {"output_type": "stream", "name": "stdout", "text": "a\n"},
        {"output_type": "execute_result", "execution_count": 1, "data": {"text/plain": "42"}, "metadata": {}},
    ]
    assert cell.metadata == {"mine": [1]}
    assert cell.queued_at <= (cell.started_at or "") <= (cell.finished_at or "")
    events = await home.events(session)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    states = [event.content["state"] for event in events if event.type == "cell"]
    assert states == ["queued", "running", "done"]
    types = [event.type for event in events if event.cell == cell.cell]
    assert types == ["cell", "cell", "status", "execute_input", "stream", "execute_result", "status", "cell"]
    assert cell.cursor == events[-1].seq
    assert await home.ask(hop.GetCell(caller=ALICE, session=session, cell=cell.cell)) == cell


async def test_the_queued_event_carries_the_request_but_no_identity_of_the_call(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "1", cell="c", timeout=5.0, stop_on_error=False)
    queued = (await home.events(session, cell="c"))[0]
    assert queued.content["params"]["code"] == "1"
    assert queued.content["params"]["timeout"] == 5.0
    assert queued.content["user"] == "alice"
    assert set(queued.content["params"]).isdisjoint({"token", "caller", "request_id", "session"})


async def test_an_exception_is_a_result(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "1/0")
    assert cell.end == "error"
    assert cell.outputs[-1]["ename"] == "ZeroDivisionError"
    assert "ZeroDivisionError: division by zero" in cell.text
    assert "\x1b" not in cell.text
    assert (await home.evaluate(session, "'still here'")).text == "'still here'"


async def test_an_error_aborts_what_waits_then_but_not_what_comes_later(home: House) -> None:
    session = await home.open()
    first = asyncio.create_task(home.evaluate(session, "import time; time.sleep(0.3); 1/0"))
    await home.until(session, "execute_input")
    second = asyncio.create_task(home.evaluate(session, "print('never')"))
    await asyncio.sleep(0)  # one step of the loop: a cell is queued before its call first waits
    assert (await first).end == "error"
    aborted = await second
    assert (aborted.end, aborted.text, aborted.started_at) == ("aborted", "", None)
    assert (await home.evaluate(session, "print('later')")).text == "later\n"


async def test_stop_on_error_false_lets_the_queue_go_on(home: House) -> None:
    session = await home.open()
    both = await asyncio.gather(
        home.evaluate(session, "1/0", stop_on_error=False), home.evaluate(session, "print('on')")
    )
    assert [cell.end for cell in both] == ["error", "ok"]


async def test_cells_run_in_the_order_of_arrival(home: House) -> None:
    session = await home.open()
    cells = await asyncio.gather(*(home.evaluate(session, f"print({n})") for n in range(20)))
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, 21))
    assert [cell.text for cell in cells] == [f"{n}\n" for n in range(20)]


async def test_wait_bounds_the_answer_and_not_the_cell(home: House) -> None:
    session = await home.open(start=True)
    early = await home.evaluate(session, "import time; time.sleep(0.5); 'late'", wait=0.0)
    assert (early.state, early.end, early.outputs) == ("queued", None, [])
    page = await home.poll(session, cell=early.cell, cursor=early.cursor, wait=10.0)
    assert page.done is False
    while not page.done:
        page = await home.poll(session, cell=early.cell, cursor=page.cursor, wait=10.0)
    late = await home.ask(hop.GetCell(caller=ALICE, session=session, cell=early.cell))
    assert (late.end, late.text) == ("ok", "'late'")


async def test_one_id_is_run_once_and_answers_the_same_again(home: House) -> None:
    session = await home.open()
    both = await asyncio.gather(
        *(home.evaluate(session, "n = globals().get('n', 0) + 1; n", cell="once") for _ in range(5))
    )
    assert {cell.text for cell in both} == {"1"}
    assert (await home.evaluate(session, "n = globals().get('n', 0) + 1; n", cell="once")) == both[0]
    assert (await home.evaluate(session, "n")).text == "1"
    with pytest.raises(CellConflict):
        await home.evaluate(session, "other code", cell="once")


async def test_the_queue_has_a_limit(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with house(tmp_path_factory.mktemp("limit"), queue_cells=2) as small:
        session = await small.open()
        for _ in range(2):
            await small.evaluate(session, "import time; time.sleep(30)", wait=0.0)
        with pytest.raises(LimitExceeded, match="queue_cells"):
            await small.evaluate(session, "1", wait=0.0)


async def test_timeout_ends_the_cell_and_the_queue_goes_on(home: House) -> None:
    session = await home.open(start=True)
    slow, next_one = await asyncio.gather(
        home.evaluate(session, "import time; time.sleep(60)", timeout=0.3), home.evaluate(session, "print('next')")
    )
    assert slow.end == "timeout"
    assert (next_one.end, next_one.text) == ("ok", "next\n")


async def test_a_timeout_that_has_to_kill_the_kernel(home: House) -> None:
    session = await home.open(start=True)
    code = "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass"
    stubborn, waiting = await asyncio.gather(
        home.evaluate(session, code, timeout=1.0), home.evaluate(session, "print('never')")
    )
    assert stubborn.end == "timeout"
    assert stubborn.exit is not None
    assert stubborn.exit.signal == 9
    assert waiting.end == "aborted"
    assert (await home.evaluate(session, "'anew'")).text == "'anew'"


async def test_interrupting_the_running_cell_and_a_queued_one(home: House) -> None:
    session = await home.open()
    running = asyncio.create_task(home.evaluate(session, "import time; time.sleep(60)", cell="running"))
    await home.until(session, "execute_input")
    queued = asyncio.create_task(home.evaluate(session, "1", cell="queued"))
    other = asyncio.create_task(home.evaluate(session, "2", cell="other"))
    await asyncio.sleep(0)
    cancelled = await home.ask(hop.Interrupt(caller=ALICE, session=session, cell="queued"))
    assert (cancelled.cell, cancelled.step, cancelled.end) == ("queued", "cancelled", "cancelled")
    assert (await queued).end == "cancelled"
    stopped = await home.ask(hop.Interrupt(caller=ALICE, session=session))
    assert (stopped.cell, stopped.step, stopped.end) == ("running", "interrupt", "interrupted")
    assert (await running).end == "interrupted"
    assert (await other).end == "aborted"
    nothing = await home.ask(hop.Interrupt(caller=ALICE, session=session))
    assert (nothing.cell, nothing.step) == (None, "not_running")
    over = await home.ask(hop.Interrupt(caller=ALICE, session=session, cell="running"))
    assert (over.step, over.end) == ("not_running", "interrupted")
    with pytest.raises(CellNotFound):
        await home.ask(hop.Interrupt(caller=ALICE, session=session, cell="unknown"))


async def test_code_that_catches_the_interrupt_decides_by_its_reply(home: House) -> None:
    session = await home.open()
    code = (
        "import time\ntry:\n    print('on', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n    print('caught')"
    )
    cell = asyncio.create_task(home.evaluate(session, code))
    await home.until(session, "stream")
    stopped = await home.ask(hop.Interrupt(caller=ALICE, session=session))
    assert (stopped.step, stopped.end) == ("interrupt", "ok")
    assert (await cell).text == "on\ncaught\n"


async def test_an_interrupt_escalates_to_the_end_of_the_kernel(home: House) -> None:
    session = await home.open()
    code = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)"
    )
    cell = asyncio.create_task(home.evaluate(session, code))
    await home.until(session, "stream")
    steps = await asyncio.gather(*(home.ask(hop.Interrupt(caller=ALICE, session=session)) for _ in range(3)))
    assert {step.step for step in steps} == {"killed"}
    ended = await cell
    assert ended.end == "interrupted"
    assert ended.exit is not None
    again = await home.evaluate(session, "'anew'")
    assert (again.text, again.execution_count) == ("'anew'", 1)
    notices = [event.content["kind"] for event in await home.events(session) if event.type == "notice"]
    assert notices == ["kernel_started_anew"]


async def test_the_death_of_the_kernel(home: House) -> None:
    session = await home.open()
    dying = asyncio.create_task(
        home.evaluate(session, "x = 1\nprint('last words', flush=True)\nimport os; os._exit(7)")
    )
    waiting = asyncio.create_task(home.evaluate(session, "print('never')"))
    died = await dying
    assert died.end == "kernel_died"
    assert died.exit is not None
    assert (died.exit.code, died.exit.signal, died.exit.oom) == (7, None, None)
    assert (await waiting).end == "aborted"
    assert (await home.poll(session, wait=0.0)).kernel_state == "dead"
    after = await home.evaluate(session, "'x' in globals()")
    assert after.text == "False"
    assert any(event.type == "notice" for event in await home.events(session))


async def test_a_kernel_killed_by_a_signal_says_which(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert cell.end == "kernel_died"
    assert cell.exit is not None
    assert cell.exit.signal == 11


async def test_exit_as_code_ends_the_cell_as_the_kernel_says(home: House) -> None:
    session = await home.open()
    assert (await home.evaluate(session, "exit")).end in ("ok", "kernel_died")
    await home.until(session, "cell", state="done")
    assert (await home.evaluate(session, "'anew'")).text == "'anew'"


async def test_input_is_answered_once_and_passwords_are_nowhere(home: House) -> None:
    session = await home.open()
    code = "import getpass\na = input('name? ')\nb = getpass.getpass('secret? ')\nprint(a, len(b))"
    cell = asyncio.create_task(home.evaluate(session, code, allow_stdin=True))
    asked = await home.until(session, "input_request")
    assert (asked.content["prompt"], asked.content["password"]) == ("name? ", False)
    first = hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="Ada ŝ𝔸")
    assert (await home.ask(first)).accepted
    with pytest.raises(NotWaitingForInput):
        await home.ask(first)
    hidden = await home.until(session, "input_request", cursor=asked.seq, password=True)
    await home.ask(hop.InputReply(caller=ALICE, session=session, id=hidden.content["id"], value="hunter2-hidden"))
    done = await cell
    assert (done.end, done.text) == ("ok", "Ada ŝ𝔸 14\n")
    for path in home.root.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


async def test_without_allow_stdin_input_is_an_error(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "input()")
    assert (cell.end, cell.outputs[-1]["ename"]) == ("error", "StdinNotImplementedError")


async def test_interrupting_a_cell_that_waits_for_input(home: House) -> None:
    session = await home.open()
    cell = asyncio.create_task(home.evaluate(session, "input('? ')", allow_stdin=True))
    asked = await home.until(session, "input_request")
    assert (await home.poll(session, wait=0.0)).kernel_state == "busy"
    stopped = await home.ask(hop.Interrupt(caller=ALICE, session=session))
    assert stopped.end == "interrupted"
    assert (await cell).end == "interrupted"
    with pytest.raises(NotWaitingForInput):
        await home.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="x"))


async def test_user_expressions_and_silent(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "v = 20", user_expressions={"double": "2 * v", "bad": "1/0"})
    assert cell.user_expressions is not None
    assert cell.user_expressions["double"]["data"]["text/plain"] == "40"
    assert cell.user_expressions["bad"]["status"] == "error"
    silent = await home.evaluate(session, "v + 1", silent=True)
    assert (silent.end, silent.outputs, silent.execution_count) == ("ok", [], None)
    assert (await home.evaluate(session, "v")).execution_count == 2


async def test_pager_texts_are_an_output_too(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "len?")
    assert "number of items" in cell.text
    assert cell.outputs[0]["metadata"] == {"kernelwire": {"page": True}}
    assert cell.payload[0]["source"] == "page"


async def test_empty_code_is_a_cell(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "")
    assert (cell.state, cell.end, cell.text) == ("done", "ok", "")


async def test_output_after_the_end_is_marked_late(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "import threading\nthreading.Timer(0.3, print, ['from the thread']).start()")
    assert (cell.end, cell.text) == ("ok", "")
    late = await home.until(session, "stream", name="stdout")
    assert (late.cell, late.late) == (cell.cell, True)
    assert late.content["text"].startswith("from the thread")
    assert late.seq > cell.cursor


async def test_an_interrupt_before_the_code_has_begun_ends_the_cell_too(home: House) -> None:
    session = await home.open()
    for _ in range(10):
        cell = asyncio.create_task(home.evaluate(session, "import time; time.sleep(60)"))
        await asyncio.sleep(0)
        stopped = await home.ask(hop.Interrupt(caller=ALICE, session=session))
        assert stopped.step in ("cancelled", "interrupt", "interrupt_again")
        assert (await cell).end == stopped.end
        assert stopped.end in ("cancelled", "interrupted")


async def test_user_code_cannot_forge_events_of_the_service(home: House) -> None:
    session = await home.open()
    code = (
        "k = get_ipython().kernel\n"
        "for t in ('cell', 'gap', 'truncated', 'input_request', 'a b\\n', 'debug_event'):\n"
        "    k.session.send(k.iopub_socket, t, {'state': 'done', 'end': 'ok'}, parent=k.get_parent())\n"
        "k.session.send(k.iopub_socket, 'stream', {'name': 'stdout', 'text': 'x'}, parent={'msg_id': 'x-nobody'})"
    )
    cell = await home.evaluate(session, code)
    events = await home.events(session)
    assert [event.type for event in events if event.type in ("gap", "truncated", "input_request", "debug_event")] == []
    assert [event.content["state"] for event in events if event.type == "cell"] == ["queued", "running", "done"]
    assert [event.cell for event in events if event.content.get("text") == "x"] == [None]
    assert cell.end == "ok"


async def test_displays_are_resolved(home: House) -> None:
    session = await home.open()
    code = (
        "from IPython.display import display, clear_output\n"
        "print('gone'); clear_output()\n"
        "h = display('one', display_id=True); h.update('two'); print('kept')"
    )
    cell = await home.evaluate(session, code)
    assert [output["output_type"] for output in cell.outputs] == ["display_data", "stream"]
    assert cell.outputs[0]["data"]["text/plain"] == "'two'"
    assert "transient" not in cell.outputs[0]


async def test_twenty_thousand_flushed_prints_are_all_there(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "for i in range(20000): print(i, flush=True)", wait=60.0)
    assert cell.end == "ok"
    text = "".join(e.content["text"] for e in await home.events(session, cell=cell.cell) if e.type == "stream")
    assert text == "".join(f"{i}\n" for i in range(20000))


async def test_twenty_megabytes_in_one_write(home: House) -> None:
    session = await home.open()
    code = "import sys\n_ = sys.stdout.write(''.join(f'{i:099d}\\n' for i in range(200000)))"
    cell = await home.evaluate(session, code, wait=60.0)
    assert (cell.end, cell.outputs_truncated is not None) == ("ok", True)
    text = "".join(e.content["text"] for e in await home.events(session, cell=cell.cell) if e.type == "stream")
    assert text == "".join(f"{i:099d}\n" for i in range(200000))


async def test_invalid_utf8_is_repaired_and_said(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "import sys\n_ = sys.stdout.write('a\\udcffb\\n')")
    assert cell.end == "ok"
    streams = [event for event in await home.events(session, cell=cell.cell) if event.type == "stream"]
    assert "".join(event.content["text"] for event in streams).startswith("a")
    for event in streams:
        assert "\udcff" not in event.content["text"]


async def test_a_lone_surrogate_costs_no_output_beside_it(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "print('before'); print('\\ud800'); print('after')")
    assert (cell.end, cell.text) == ("ok", "before\n\ufffd\nafter\n")
    repaired = [event.repaired for event in await home.events(session, cell=cell.cell) if event.type == "stream"]
    assert True in repaired
    raised = await home.evaluate(session, "raise ValueError('\\ud800')")
    assert (raised.end, raised.outputs[-1]["evalue"]) == ("error", "\ufffd")


@pytest.mark.parametrize("value", ["None", "5"])
async def test_a_cell_that_takes_a_stream_away_costs_one_cell(home: House, value: str) -> None:
    """IPython leaves such cells without a reply: each would be lost, or never end."""
    session = await home.open()
    taken = await home.evaluate(session, f"import sys; sys.stdout = {value}")
    failed = taken if taken.end == "error" else await home.evaluate(session, "print('a')")
    assert (failed.end, failed.outputs[-1]["ename"]) == ("error", "AttributeError")
    after = await home.evaluate(session, "print('b'); 6 * 7")
    assert (after.end, after.text) == ("ok", "b\n42")


async def test_a_cell_that_ipython_cannot_run_ends_with_its_error(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "get_ipython().run_cell = None")
    cell = await home.evaluate(session, "1")
    assert (cell.end, cell.outputs[-1]["ename"]) == ("error", "TypeError")


async def test_a_flood_of_text_comes_in_pieces_that_others_can_overtake(home: House) -> None:
    session, other = await home.open(), await home.open(start=True)
    code = "x = 'y' * 65000\nfor i in range(1500): print(i, x)"
    flood = asyncio.create_task(home.evaluate(session, code, wait=60.0))
    await home.until(session, "stream")
    between = await home.evaluate(other, "1 + 1")
    assert (between.text, flood.done()) == ("2", False)
    assert (await flood).end == "ok"
    streams = [event for event in await home.events(session) if event.type == "stream"]
    numbers = [line.split()[0] for line in "".join(e.content["text"] for e in streams).splitlines()]
    assert numbers == [str(number) for number in range(1500)]


async def test_polling_in_pages_reads_the_same_sequence(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "for i in range(50): print(i, flush=True)")
    whole = (await home.poll(session, wait=0.0, limit=10_000)).events
    pages: list[bytes] = []
    cursor = 0
    while True:
        page = await home.poll(session, cursor=cursor, wait=0.0, limit=7)
        if not page.events:
            break
        assert len(page.events) <= 7
        pages += [bytes(event) for event in page.events]
        cursor = page.cursor
    assert pages == [bytes(event) for event in whole]
    with pytest.raises(InvalidArgument) as error:
        await home.poll(session, cursor=cursor + 1, wait=0.0)
    assert error.value.newest == cursor
    with pytest.raises(CellNotFound):
        await home.poll(session, cell="nobody", wait=0.0)


async def test_a_poll_of_an_ended_cell_returns_at_once(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "1")
    page = await home.poll(session, cell=cell.cell, cursor=cell.cursor, wait=300.0)
    assert (page.events, page.done) == ([], True)


async def test_lines_are_received_while_the_cell_runs_by_every_reader(home: House) -> None:
    session = await home.open()
    code = "for i in range(5):\n    input()\n    print(i)\n    i**2\ninput()"
    running = await home.evaluate(session, code, wait=0.0, allow_stdin=True)
    everybody = asyncio.Barrier(2)

    async def read() -> list[tuple[str, bool | None]]:
        """Each line, and whether the cell had ended: it goes on when every reader has the line before."""
        seen: list[tuple[str, bool | None]] = []
        cursor = 0
        done: bool | None = False
        while not done:
            page = await home.poll(session, cursor=cursor, cell=running.cell, wait=20.0)
            cursor, done = page.cursor, page.done
            seen += [(event.content["text"], done) for event in decoded(page) if event.type == "stream"]
            asked = [event for event in decoded(page) if event.type == "input_request"]
            if asked and await everybody.wait() == 0:
                await home.ask(hop.InputReply(caller=ALICE, session=session, id=asked[-1].content["id"], value=""))
        return seen

    readers = await asyncio.gather(read(), read())
    assert readers[0] == readers[1] == [(f"{i}\n", False) for i in range(5)]
