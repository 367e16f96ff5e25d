"""Whatever a cell prints, nothing is lost, and the host's memory stays bounded."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from kernel_bridge import hop
from tests.kernel.house import ALICE, Event, House, decoded, house
from tests.kernel.other_kernels import install_stock

MIB = 1 << 20
SHOW = "from IPython.display import display\n"


class Memory:
    """The growth of this process, in which the house and so the host is, up to its highest point from now on."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # see proc_pid_clear_refs(5): resets the peak
        self._begin = self._read("VmRSS")

    @property
    def growth(self) -> int:
        return self._read("VmHWM") - self._begin

    @staticmethod
    def _read(name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024


END = "\nopen('ended', 'w').close()"
"""the last line of a cell, by which `stand_still` knows that its code has ended"""


def stand_still(home: House) -> None:
    """Keep the event loop, and so the host, from doing anything until the only session's cell has come to END."""
    until = time.monotonic() + 30
    while not list(home.root.glob("workdirs/*/ended")):
        assert time.monotonic() < until
        time.sleep(0.01)


def printed(events: list[Event]) -> str:
    return "".join(event.content["text"] for event in events if event.type == "stream")


def types(events: list[Event]) -> set[str]:
    return {event.type for event in events}


async def test_plain_lines(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "for i in range(200_000):\n    print(i)", wait=60.0)
    text = printed(await home.events(session, cell=cell.cell))
    assert text == "".join(f"{i}\n" for i in range(200_000))


async def test_displays(home: House) -> None:
    session = await home.open()
    code = f"{SHOW}for i in range(5000):\n    display({{'text/plain': str(i)}}, raw=True)"
    cell = await home.evaluate(session, code, wait=60.0)
    found = await home.events(session, cell=cell.cell)
    shown = [event.content["data"]["text/plain"] for event in found if event.type == "display_data"]
    assert shown == [str(i) for i in range(5000)]
    assert "gap" not in types(found)


async def test_large_displays_wait_in_the_kernel_while_the_host_stands_still(tmp_path: Path) -> None:
    count, size = 20, 10_000_000
    async with house(tmp_path, idle_grace_s=1.0, retention_bytes=1 << 30) as home:
        session = await home.open()
        await home.evaluate(session, f"{SHOW}text = 'x' * {size}")
        code = f"for i in range({count}):\n    display({{'text/plain': text, 'n': i}}, raw=True)\nprint('done'){END}"
        memory = Memory()
        cell = await home.evaluate(session, code, wait=0.0)
        await home.until(session, "execute_input", cursor=cell.cursor)
        stand_still(home)  # what the host took in meanwhile shows in its memory
        ended = await home.evaluate(session, code, cell=cell.cell, wait=60.0)
        assert memory.growth < 120 * MIB
        numbers: list[int] = []
        cursor = cell.cursor
        while True:
            page = await home.poll(session, cursor=cursor, wait=0.0, limit=1)
            if page.cursor == cursor:
                break
            (line,) = page.events
            cursor = page.cursor
            data = re.search(rb'"n":\s*(\d+)', bytes(line)[-200:])
            numbers += [int(data[1])] if data is not None else []
            assert b'"type":"gap"' not in bytes(line)[:200]
        assert memory.growth < 200 * MIB
    assert (ended.end, ended.text[-5:]) == ("ok", "done\n")
    assert numbers == list(range(count))


async def test_what_is_too_large_for_an_event_never_reaches_the_host(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, f"{SHOW}text = 'x' * 100_000_000")
    memory = Memory()
    code = "display({'text/plain': 'small', 'text/html': text}, raw=True, display_id='d'); print('after')"
    cell = await home.evaluate(session, code, wait=60.0)
    assert memory.growth < 50 * MIB
    (omitted,) = [event for event in await home.events(session, cell=cell.cell) if event.type == "omitted"]
    assert omitted.content["mime"] == "text/html"
    assert 100_000_000 < omitted.content["bytes"] < 100_001_000
    assert cell.outputs_truncated is not None
    assert (cell.end, cell.outputs_truncated.events) == ("ok", 1)
    assert cell.text.endswith("after\n")


async def test_the_limit_is_the_setting_and_counts_content_and_buffers(tmp_path: Path) -> None:
    async with house(tmp_path, max_event_bytes=200_000) as home:
        session = await home.open()
        code = f"""{SHOW}
from comm import create_comm
comm = create_comm(target_name='t')
comm.send({{}}, buffers=[b'y' * 150_000])
comm.send({{}}, buffers=[b'y' * 199_000, b'y' * 1_000])
display({{'text/plain': 'x' * 190_000}}, raw=True)
display({{'text/plain': 'x' * 199_990}}, raw=True)
print('z' * 300_000)
raise ValueError('v' * 300_000)"""
        cell = await home.evaluate(session, code)
        found = await home.events(session, cell=cell.cell)
    shown = [(event.type, event.content.get("mime")) for event in found if event.type not in ("cell", "status")]
    assert shown == [
        ("execute_input", None),
        ("comm_open", None),
        ("comm_msg", None),
        ("omitted", None),
        ("display_data", None),
        ("omitted", "text/plain"),
        *[("stream", None)] * 5,
        ("omitted", None),
    ]
    assert (cell.end, len(printed(found))) == ("error", 300_001)


async def test_a_forged_word_of_a_message_that_was_too_large_is_no_event(home: House) -> None:
    session = await home.open()
    code = """
kernel = get_ipython().kernel
def say(**content):
    kernel.session.send(kernel.iopub_socket, 'kernelwire_omitted', content, parent=kernel.get_parent('shell'))
say()
say(bytes=-1, mime=None)
say(bytes=1, mime='x' * 300)
say(bytes=10**30, mime=None)
say(bytes=7, mime='text/x-mine')
"""
    cell = await home.evaluate(session, code)
    found = [event.content for event in await home.events(session, cell=cell.cell) if event.type == "omitted"]
    assert (cell.end, found) == ("ok", [{"bytes": 7, "mime": "text/x-mine"}])


async def test_a_kernel_without_our_launcher_may_be_ahead_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stock(tmp_path / "jupyter", monkeypatch)
    async with house(tmp_path / "state") as home:
        session = await home.open(kernel="stock")
        # at a pace at which the kernel itself loses nothing: its own queue has 1,000 messages
        code = f"import time\nfor i in range(3000):\n    print(i, flush=True); time.sleep(0.0005){END}"
        cell = await home.evaluate(session, code, wait=0.0)
        await home.until(session, "execute_input", cursor=cell.cursor)
        stand_still(home)
        await home.evaluate(session, code, cell=cell.cell, wait=60.0)
        found = await home.events(session, cell=cell.cell)
    assert printed(found) == "".join(f"{i}\n" for i in range(3000))
    assert "gap" not in types(found)


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(3)"])
async def test_text_is_out_of_a_kernel_that_is_killed_soon_after(home: House, end: str) -> None:
    session = await home.open()
    code = f"import os, time\nprint('last words', end='')\ntime.sleep(0.12)\n{end}"
    cell = await home.evaluate(session, code)
    assert (cell.end, cell.text) == ("kernel_died", "last words")


PRINT_ON = """
import os, subprocess, threading, time
def talk():
    until = time.monotonic() + 20
    while not os.path.exists('go') and time.monotonic() < until:
        time.sleep(0.01)
    for i in range(3000):
        print(f't{i}', flush=True)
    child.communicate(b'go\\n')
child = subprocess.Popen("read line; for i in $(seq 0 2999); do echo s$i; done", shell=True, stdin=subprocess.PIPE)
threading.Thread(target=talk).start()
print(os.getcwd())"""


async def test_a_thread_and_a_subprocess_print_on_after_their_cell(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, PRINT_ON)
    assert cell.end == "ok"
    Path(cell.text.strip(), "go").touch()
    found: list[Event] = []
    cursor = cell.cursor
    async with asyncio.timeout(20):
        while not printed(found).endswith("s2999\n"):
            page = await home.poll(session, cursor=cursor, wait=20.0)
            found += decoded(page)
            cursor = page.cursor
    expected = [f"{letter}{i}\n" for letter in "ts" for i in range(3000)]
    assert printed(found) == "".join(expected)
    assert {(event.type, event.cell, event.late) for event in found} == {("stream", cell.cell, True)}


async def test_another_session_goes_on_beside_large_displays(home: House) -> None:
    """Counted, not timed: after each large message the loop has time for others, so their cells keep up."""
    flooding, other = await home.open(), await home.open()
    await home.evaluate(other, "1")
    await home.evaluate(flooding, f"{SHOW}text = 'x' * 10_000_000")
    flood = asyncio.create_task(
        home.evaluate(flooding, "for i in range(20):\n    display({'text/plain': text}, raw=True)", wait=60.0)
    )
    cells = 0
    while not flood.done():
        assert (await home.evaluate(other, "1 + 1")).text == "2"
        cells += 1
    assert (await flood).end == "ok"
    assert cells >= 60


async def test_interrupted_behind_its_code_a_cell_keeps_its_kernel(tmp_path: Path) -> None:
    """The code has ended, its output waits in the kernel: that is no reason to kill it."""
    async with house(tmp_path, interrupt_again_s=1.0, interrupt_kill_s=1.0, idle_grace_s=20.0) as home:
        session = await home.open()
        await home.evaluate(session, f"{SHOW}text = 'x' * 10_000_000")
        code = f"for i in range(20):\n    display({{'text/plain': text}}, raw=True){END}"
        cell = await home.evaluate(session, code, wait=0.0)
        await home.until(session, "execute_input", cursor=cell.cursor)
        stand_still(home)
        await home.until(session, "display_data", cursor=cell.cursor)
        await home.ask(hop.Interrupt(caller=ALICE, session=session, cell=cell.cell))
        ended = await home.evaluate(session, code, cell=cell.cell, wait=30.0)
        assert (ended.end, ended.exit) == ("ok", None)
        assert (await home.evaluate(session, "len(text)", wait=30.0)).text == "10000000"
