"""Evaluate calls that wait for the end of their cell: an entry each, where a task would cost several turns of the event
loop."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kernel_bridge import hop
from kernel_bridge.cell import LiveCell
from kernel_bridge.deadlines import Deadlines
from kernel_bridge.errors import ShuttingDown
from kernel_bridge.faults import to_fault

log = logging.getLogger("kernelwire.bridge.hop")


@dataclass(slots=True, eq=False)
class _Call:
    front: bytes
    id: int
    cell: LiveCell
    end: Callable[[], None]
    """what the end of the cell calls"""


class WaitingCalls:
    """Answers each call by `send`, which is given the front and the reply: when its cell has ended, or with the cell as
    it is when its time is over. `close` it: calls that still wait are told that the host ends."""

    def __init__(self, send: Callable[[bytes, hop.Reply], None]) -> None:
        self._send = send
        self._calls: dict[int, _Call] = {}
        self._known: dict[tuple[bytes, int], int] = {}
        self._numbers = itertools.count(1)
        self._deadlines = Deadlines(self._answer)

    def add(self, front: bytes, call: int, cell: LiveCell, wait_s: float) -> None:
        """Call `call` of `front` waits for `cell`, at most `wait_s` (> 0) and 0.05 s more."""
        number = next(self._numbers)
        end = partial(self._answer, number)
        self._calls[number] = _Call(front, call, cell, end)
        self._known[front, call] = number
        self._deadlines.add(number, asyncio.get_running_loop().time() + wait_s)
        cell.ended.then(end)

    def cancel(self, front: bytes, call: int) -> None:
        """Its caller is gone: nobody is answered. Nothing happens if it is not known."""
        number = self._known.get((front, call))
        if number is not None:
            self._take(number)

    def forget(self, front: bytes) -> None:
        """As `cancel`, of all calls of a front."""
        for known, call in list(self._known):
            if known == front:
                self.cancel(known, call)

    def close(self) -> None:
        for number in list(self._calls):
            call = self._take(number)
            if call is not None:
                self._send(call.front, hop.Reply(call.id, fault=to_fault(ShuttingDown())))
        self._deadlines.close()

    def _answer(self, number: int) -> None:
        call = self._take(number)
        if call is None:
            return
        try:
            reply = hop.Reply(call.id, result=call.cell.json())
        except Exception as error:  # the front shows a request id only; the text stays here
            log.exception("call_failed op=Evaluate")
            reply = hop.Reply(call.id, fault=to_fault(error))
        self._send(call.front, reply)

    def _take(self, number: int) -> _Call | None:
        call = self._calls.pop(number, None)
        if call is not None:
            self._known.pop((call.front, call.id), None)
            self._deadlines.discard(number)
            call.cell.ended.forget(call.end)
        return call
