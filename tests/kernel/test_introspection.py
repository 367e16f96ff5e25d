"""complete and inspect on a real kernel."""

import asyncio
from pathlib import Path

import pytest

from kernel_bridge import hop, results
from kernel_bridge.errors import InvalidArgument, KernelBusy
from tests.kernel.house import ALICE, House, house


async def complete(home: House, session: str, code: str, cursor_pos: int | None = None) -> results.Completion:
    return await home.ask(hop.Complete(caller=ALICE, session=session, code=code, cursor_pos=cursor_pos))


async def inspect(
    home: House, session: str, code: str, cursor_pos: int | None = None, detail_level: int = 0
) -> results.Inspection:
    asked = hop.Inspect(caller=ALICE, session=session, code=code, cursor_pos=cursor_pos, detail_level=detail_level)
    return await home.ask(asked)


async def test_completing_a_live_object(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "import os; words = ['a']")
    found = await complete(home, session, "x = words.app")
    assert (found.cursor_start, found.cursor_end) == (10, 13)
    assert [(match.text, match.type) for match in found.matches] == [("append", "function")]
    modules = await complete(home, session, "os.pat")
    assert [(match.text, match.type) for match in modules.matches if match.text == "path"] == [("path", "module")]
    assert all(not match.text.startswith(".") for match in modules.matches)


async def test_jedi_is_the_second_try(home: House) -> None:
    session = await home.open()
    # nothing was executed: only static analysis can know what the literal will be
    found = await complete(home, session, "def f():\n    import zipfile\n    zipfile.ZipF")
    assert "ZipFile" in [match.text for match in found.matches]
    assert (found.cursor_start, found.cursor_end) == (40, 44)


async def test_completion_runs_no_code_of_the_users(home: House) -> None:
    session = await home.open()
    await home.evaluate(
        session,
        "ran = []\n"
        "class Eager:\n"
        "    @property\n"
        "    def held(self): ran.append('property'); return ''\n"
        "    def __getattr__(self, name): ran.append(name); return ''\n"
        "    def __getitem__(self, key): ran.append(key); return ''\n"
        "eager = Eager()",
    )
    for code in ("eager.", "eager.held.", "eager[0].", "eager.other.", "def f():\n    return eager[0].upp"):
        await complete(home, session, code)
    # what inspect.unwrap, and so jedi, asks every object for
    assert (await home.evaluate(session, "[name for name in ran if name != '__wrapped__']")).text == "[]"


async def test_positions_are_code_points_beyond_the_bmp(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "𝔸lpha = 'x'; long_name = 1")
    code = "s = '🎉🎉𝔸'; long_na + 1"
    position = code.index(" + 1")
    found = await complete(home, session, code, position)
    assert [match.text for match in found.matches] == ["long_name"]
    assert code[found.cursor_start : found.cursor_end] == "long_na"
    seen = await inspect(home, session, "'🎉🎉'; len(1)", 7)
    assert seen.name == "len"
    with pytest.raises(InvalidArgument, match="from 0 to 3"):
        await complete(home, session, "🎉ab", 4)


async def test_inspecting_gives_text_and_plain_fields(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "def double(x: int = 1) -> int:\n    'Twice x.'\n    return 2 * x")
    found = await inspect(home, session, "double")
    assert (found.found, found.name, found.docstring, found.source) == (True, "double", "Twice x.", None)
    assert found.signature is not None
    assert found.signature.startswith("double(x")
    assert "\x1b" not in found.text
    assert "Twice x." in found.text
    assert "text/plain" in found.data
    whole = await inspect(home, session, "double", detail_level=1)
    assert whole.source is not None
    assert whole.source.rstrip().endswith("return 2 * x")
    assert (await inspect(home, session, "double??")).source == whole.source
    assert (await inspect(home, session, "??double")).source == whole.source
    assert (await inspect(home, session, "?double", detail_level=1)).source is None
    missing = await inspect(home, session, "nothing_like_this")
    assert (missing.found, missing.text, missing.data) == (False, "", {})


@pytest.mark.parametrize("busy", ["import time; time.sleep(30)", "while True: pass"])
async def test_both_answer_while_a_cell_runs(home: House, busy: str) -> None:
    session = await home.open()
    await home.evaluate(session, "words = ['a']")
    cell = await home.evaluate(session, busy, wait=0.0)
    await home.until(session, "execute_input", cursor=cell.cursor)
    assert [match.text for match in (await complete(home, session, "words.app")).matches] == ["append"]
    assert (await inspect(home, session, "len")).name == "len"
    assert (await home.ask(hop.GetCell(caller=ALICE, session=session, cell=cell.cell))).end is None


async def test_introspection_leaves_no_events(home: House) -> None:
    session = await home.open()
    await home.evaluate(session, "1")
    before = (await home.events(session))[-1].seq
    await complete(home, session, "pri")
    await inspect(home, session, "print")
    assert (await home.events(session))[-1].seq == before


async def test_code_that_holds_the_interpreter_makes_the_kernel_busy(tmp_path: Path) -> None:
    async with house(tmp_path, introspection_s=0.3) as made:
        session = await made.open()
        await made.evaluate(session, "import ctypes; sleep = ctypes.PyDLL(None).sleep")
        await complete(made, session, "pri")
        cell = asyncio.create_task(made.evaluate(session, "sleep(2)"))

        async def ask_until_it_ends() -> None:
            while not cell.done():  # the cell may need a moment until it is in C
                await complete(made, session, "pri")

        with pytest.raises(KernelBusy) as error:
            await ask_until_it_ends()
        assert error.value.deadline_s == 0.3
        assert (await cell).end == "ok"
        assert (await complete(made, session, "prin")).matches[0].text == "print"
