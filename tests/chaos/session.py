"""A session of the run: its transcript, those who read it, and those who wait for its cells."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.chaos.caller import Caller, Refused
from tests.chaos.chatter import Chatter, Line
from tests.chaos.readers import KINDS, Reader, read_from_start, watched
from tests.chaos.transcript import Transcript

EVALUATE_WAIT_S = 2.0
"""of one try: a caller whose front stands still tries again after it"""
SESSION_NOT_FOUND = -32010

NewCaller = Callable[[], Caller]


class Cell(Struct, frozen=True):
    """What evaluate and get_cell say of a cell."""

    cell: str
    state: str
    end: str | None
    text: str
    outputs_truncated: dict[str, int] | None = None


class _Opened(Struct, frozen=True):
    session: str


@dataclass(slots=True)
class Session:
    """An open session with its readers. Made by `open`; `close` deletes it and ends what reads it."""

    id: str
    workdir: Path
    transcript: Transcript
    new_caller: NewCaller
    caller: Caller
    waiting: Caller
    """for calls that wait for the end of a cell"""
    fresh: set[str] = field(default_factory=set[str])
    """cells before which its kernel was killed"""
    kernel_killed: bool = False
    readers: list[Reader] = field(default_factory=list[Reader])
    _tasks: list["asyncio.Task[Any]"] = field(default_factory=list["asyncio.Task[Any]"])

    @classmethod
    async def open(cls, new_caller: NewCaller, rng: random.Random) -> "Session":
        """Raises Refused, NoAnswer."""
        async with new_caller() as caller:
            opened = msgspec.json.decode(await caller.call("open_session"), type=_Opened)
            asked = {"session": opened.session, "code": "import os; print(os.getcwd())", "cell": "where"}
            cell = msgspec.json.decode(await caller.call("evaluate", wait=20.0, **asked), type=Cell)
            assert cell.end == "ok", cell
        workdir = Path(cell.text.strip())
        session = cls(opened.session, workdir, Transcript(), new_caller, new_caller(), new_caller())
        for name, kind in KINDS.items():
            reader = kind(name, opened.session, session.transcript, new_caller(), random.Random(rng.random()))
            session.readers.append(reader)
            session._tasks.append(asyncio.create_task(watched(reader, session.transcript.reader_failed)))
        return session

    async def evaluate(self, cell: Chatter, wait: float) -> Cell:
        """Its state after `wait` seconds at most. Raises Refused, NoAnswer."""
        return await self._evaluate(self.caller, cell, wait)

    async def ended(self, cell: Chatter) -> Cell:
        """Evaluate with the same id, again and again, until it is done. Raises Refused, NoAnswer."""
        while True:
            found = await self._evaluate(self.waiting, cell, EVALUATE_WAIT_S)
            if found.state == "done":
                return found

    async def until_line(self, cell: Chatter, wanted: Callable[[Line], bool], what: str) -> None:
        """Return when some reader has seen such a line as its cell's newest. Raises NotReached."""

        def seen() -> bool:
            line = self._newest_line(cell)
            return line is not None and wanted(line)

        await self.transcript.until(seen, f"{what} of {cell.cell}")

    async def until_done(self, cell: Chatter) -> None:
        """Return when every reader has seen the end of the cell. Raises NotReached."""
        await self.transcript.until(lambda: self._end_of(cell) is not None, f"the end of {cell.cell} in the log")
        end = self._end_of(cell) or 0
        await self.transcript.until(lambda: self._all_behind(end), lambda: self._who_is_behind(end))

    async def read_from_start(self, name: str, limit: int = 1000) -> None:
        """As one who comes late. Raises Refused, NoAnswer."""
        async with self.new_caller() as caller:
            await read_from_start(self.id, self.transcript, caller, self.transcript.newest, name=name, limit=limit)

    def cut(self) -> None:
        """Break every connection to this session."""
        for caller in (self.caller, self.waiting):
            caller.cut()
        for reader in self.readers:
            reader.cut()

    async def free(self) -> None:
        """End the readers; the session stays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for closing in (self.caller, self.waiting, *self.readers):
            await closing.close()

    async def close(self) -> None:
        """Delete the session, and free what is here. Raises Refused, NoAnswer."""
        try:
            await self.caller.call("close_session", session=self.id, delete=True)
        except Refused as error:
            if error.code != SESSION_NOT_FOUND:  # a first try may have done it, whose answer was lost
                raise
        finally:
            await self.free()

    async def _evaluate(self, caller: Caller, cell: Chatter, wait: float) -> Cell:
        answer = await caller.call("evaluate", session=self.id, code=cell.code, cell=cell.cell, wait=wait)
        return msgspec.json.decode(answer, type=Cell)

    def _newest_line(self, cell: Chatter) -> Line | None:
        for event in reversed(self.transcript.events):
            if event.cell == cell.cell and event.type == "stream":
                with contextlib.suppress(ValueError):  # half a line; what is none at all is found later
                    return Line.read(event.content["text"].splitlines()[-1])
        return None

    def _end_of(self, cell: Chatter) -> int | None:
        for event in reversed(self.transcript.events):
            if event.cell == cell.cell and event.type == "cell" and event.content["state"] == "done":
                return event.seq
        return None

    def _all_behind(self, seq: int) -> bool:
        return all(reader.cursor >= seq for reader in self.readers)

    def _who_is_behind(self, seq: int) -> str:
        cursors = {reader.name: reader.cursor for reader in self.readers}
        return f"every reader behind event {seq}: {cursors}, breaches so far: {self.transcript.breaches}"
