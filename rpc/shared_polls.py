"""Shared polls: subscriptions that stand at the same place ask the host one question together."""

import asyncio
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from kernel_bridge import hop
from rpc.context import Bridge

_NO_EVENTS = b"[]"


@dataclass(frozen=True, slots=True)
class PageText:
    """The answer of a poll_output as the host encoded it (results.Page), and what a reader has to know of it."""

    raw: bytes
    cursor: int
    empty: bool
    done: bool


class _Facts(Struct, frozen=True):
    events: Raw
    cursor: int
    done: bool | None


_facts = msgspec.json.Decoder(_Facts)


@dataclass(slots=True)
class _Poll:
    task: "asyncio.Task[PageText | Exception]"
    readers: int = 0


class SharedPolls:
    """One for each front. A poll lives as long as somebody waits for it, so there is nothing to close."""

    def __init__(self, bridge: Bridge, call_s: float) -> None:
        """`call_s`: bound of a question, beside the time that the poll itself waits."""
        self._bridge = bridge
        self._call_s = call_s
        self._polls: dict[hop.PollOutput, _Poll] = {}

    @property
    def under_way(self) -> int:
        """Questions that the host has not answered yet."""
        return len(self._polls)

    async def read(self, question: hop.PollOutput, void: "asyncio.Future[Exception]") -> PageText:
        """The page, the same object for all who ask the same at the same time.

        Raises what `void` holds as soon as it is done, and kernel_bridge.errors.
        """
        poll = self._polls.get(question)
        if poll is None:
            poll = self._polls[question] = _Poll(asyncio.create_task(self._ask(question)))
        poll.readers += 1
        try:
            await asyncio.wait({poll.task, void}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            poll.readers -= 1
            if not poll.readers:
                poll.task.cancel()
                self._forget(question, poll.task)
        answer = void.result() if void.done() else poll.task.result()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _forget(self, question: hop.PollOutput, task: "asyncio.Task[object] | None") -> None:
        """Whoever asks from now on asks anew: events may have come since."""
        poll = self._polls.get(question)
        if poll is not None and poll.task is task:
            del self._polls[question]

    async def _ask(self, question: hop.PollOutput) -> PageText | Exception:
        """Errors come as values, as there may be many who wait for this task, or nobody any more."""
        try:
            answer = await self._bridge.call(question, timeout_s=self._call_s + question.wait)
            facts = _facts.decode(answer.raw)
        except Exception as error:  # noqa: BLE001 (whoever waits raises it)
            return error
        finally:
            self._forget(question, asyncio.current_task())
        return PageText(answer.raw, facts.cursor, bytes(facts.events) == _NO_EVENTS, facts.done is True)
