"""What the readers of one session have seen: one sequence, with which the bytes of all of them must agree."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

BOUND_S = 40.0
"""of every wait for something that the service promises"""


class Event(Struct, frozen=True):
    """One event, as the wire contract has it."""

    seq: int
    cell: str | None
    time: datetime
    type: str
    content: dict[str, Any]
    late: bool = False


class _Seq(Struct, frozen=True):
    seq: int


class NotReached(AssertionError):
    """What was waited for did not come within BOUND_S."""


@dataclass(slots=True)
class Transcript:
    """The events of one session, in order; `breaches` says where a reader saw something else."""

    raw: list[bytes] = field(default_factory=list[bytes])
    """event with seq N is at N - 1"""
    events: list[Event] = field(default_factory=list[Event])
    breaches: list[str] = field(default_factory=list[str])
    _waiting: list[tuple[Callable[[], bool], "asyncio.Future[None]"]] = field(
        default_factory=list[tuple[Callable[[], bool], "asyncio.Future[None]"]]
    )

    @property
    def newest(self) -> int:
        return len(self.raw)

    def take(self, reader: str, cursor: int, page: Sequence[Raw]) -> int:
        """A reader that stood at `cursor` was given `page`. Returns where it stands now."""
        for raw in page:
            line = bytes(raw)
            if cursor < len(self.raw) and self.raw[cursor] == line:
                cursor += 1
                continue
            seq = msgspec.json.decode(line, type=_Seq).seq
            if seq <= cursor:
                self.breaches.append(f"{reader}: event {seq} came again, after {cursor}")
                continue
            if seq > cursor + 1:
                self.breaches.append(f"{reader}: event {seq} came after {cursor}: those between are missing")
            elif seq <= len(self.raw):
                self.breaches.append(f"{reader}: event {seq} is {line[:200]!r}, others had {self.raw[seq - 1][:200]!r}")
            if seq == len(self.raw) + 1:
                self.raw.append(line)
                self.events.append(msgspec.json.decode(line, type=Event))
            cursor = seq
        return cursor

    def reader_failed(self, words: str) -> None:
        """It will see nothing any more, so nobody need wait for it."""
        self.breaches.append(words)
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(NotReached(words))

    def changed(self) -> None:
        """Something that somebody may wait for is otherwise now."""
        for condition, future in self._waiting:
            if not future.done() and condition():
                future.set_result(None)

    async def until(self, condition: Callable[[], bool], what: str | Callable[[], str]) -> None:
        """Return when `condition` holds. Raises NotReached, with `what`, which may be asked for then."""
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (condition, future)
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(BOUND_S):
                await future
        except TimeoutError:
            words = what if isinstance(what, str) else what()
            raise NotReached(f"not within {BOUND_S:g} s: {words}") from None
        finally:
            self._waiting.remove(waiting)

    def since(self, seq: int) -> list[Event]:
        """The events behind `seq`."""
        return self.events[seq:]
