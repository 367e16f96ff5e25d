"""The soft limit of working directories, on real kernels. The tests say what time it is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kernel_bridge.clock import utcnow
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.workdir_watch import BUSY_S, IDLE_S
from tests.kernel.house import House, house

LIMIT = 2 << 20
FILL = "import os\nwith open('full', 'wb') as file:\n    file.write(os.urandom(3 << 20))\n"
WAIT = "print('written', flush=True)\nimport time\nwhile True: time.sleep(0.05)\n"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    limits = LimitSettings(workdir_bytes=LIMIT)
    async with house(tmp_path, limits=limits, interrupt_again_s=1.0, interrupt_kill_s=1.0) as made:
        yield made


class Clock:
    def __init__(self, home: House) -> None:
        self._home = home
        self._now = utcnow()

    async def later(self, seconds: float) -> datetime:
        """Time goes on, and what is due was looked at."""
        self._now += timedelta(seconds=seconds)
        self._home.sessions.tend(self._now)
        watch = self._home.sessions._workdir_watch  # pyright: ignore[reportPrivateUsage]
        assert watch is not None
        looking = watch._looking  # pyright: ignore[reportPrivateUsage]
        if looking is not None:
            async with asyncio.timeout(20):
                await asyncio.wait([looking])
        return self._now


async def test_the_cell_that_fills_the_directory_is_interrupted_and_the_user_can_tidy_up(home: House) -> None:
    clock = Clock(home)
    session, other = await home.open(), await home.open()
    await home.evaluate(other, "x = 1")
    filler = await home.evaluate(session, FILL + WAIT, wait=0.0)
    await home.until(session, "stream")
    await clock.later(0)
    ended = await home.until(session, "cell", state="done")
    assert ended.content["end"] == "interrupted"
    assert ended.cell == filler.cell
    cell = await home.evaluate(session, FILL + WAIT, cell=filler.cell)
    errors = [output for output in cell.outputs if output["output_type"] == "error"]
    assert errors[0]["ename"] == "LimitReached"
    assert f"{LIMIT} bytes" in errors[0]["evalue"]
    notice = await home.until(session, "notice", kind="limit_reached")
    assert notice.content["limit"] == "workdir_bytes"

    asked = await home.evaluate(session, "len(os.listdir())" + "\n" + "import time; time.sleep(0.3)", wait=0.0)
    await clock.later(IDLE_S + BUSY_S)  # it does not write: it is left alone
    await home.until(session, "cell", cursor=asked.cursor, state="done", end="ok")
    assert (await home.evaluate(session, "os.remove('full')")).end == "ok"
    await clock.later(IDLE_S)
    assert (await home.evaluate(other, "x")).text == "1"


async def test_a_kernel_that_goes_on_writing_without_a_cell_is_ended(home: House) -> None:
    clock = Clock(home)
    session = await home.open()
    await home.evaluate(session, FILL)
    await clock.later(0)
    first = await home.until(session, "notice", kind="limit_reached")
    assert first.cell is None
    await clock.later(IDLE_S)  # nothing new: that was the cell's last
    await home.evaluate(session, "open('more', 'wb').write(os.urandom(1 << 20))")
    await clock.later(IDLE_S)
    await home.evaluate(session, "open('yet more', 'wb').write(os.urandom(1 << 20))")
    await clock.later(IDLE_S)
    ended = await home.until(session, "notice", kind="kernel_ended")
    assert ended.content["limit"] == "workdir_bytes"
    again = await home.evaluate(session, "'x' in globals()")
    assert again.text == "False"


async def test_sessions_without_a_kernel_are_not_looked_at(home: House) -> None:
    clock = Clock(home)
    session = await home.open()
    await clock.later(0)
    await home.evaluate(session, FILL)
    await home.sessions._sessions[session].stop()  # pyright: ignore[reportPrivateUsage]
    await clock.later(IDLE_S)
    kinds = [event.content["kind"] for event in await home.events(session) if event.type == "notice"]
    assert kinds == []
