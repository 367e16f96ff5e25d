"""Evaluate calls that wait, with cells that the test ends."""

import asyncio

import msgspec

from kernel_bridge import hop
from kernel_bridge.cell import LiveCell
from kernel_bridge.clock import utcnow
from kernel_bridge.outputs import OutputFold
from kernel_bridge.results import Cell
from kernel_bridge.waiting import WaitingCalls

PATIENCE_S = 10.0


class Front:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.replies: list[tuple[bytes, hop.Reply]] = []
        self.heard = asyncio.Event()
        self.waiting = WaitingCalls(self._send)

    def _send(self, front: bytes, reply: hop.Reply) -> None:
        self.replies.append((front, reply))
        self.heard.set()

    def states(self) -> list[tuple[bytes, int, str]]:
        """Of each answer front, call and the state of the cell in it."""
        return [
            (front, reply.id, msgspec.json.decode(reply.result or b"{}", type=Cell).state)
            for front, reply in self.replies
        ]


def live(id: str = "c") -> LiveCell:
    asked = hop.Evaluate(caller=hop.Caller("u", "user"), session="s", code="1")
    return LiveCell("s", id, asked, OutputFold(), utcnow())


def end(cell: LiveCell) -> None:
    cell.state, cell.end = "done", "ok"
    cell.ended.set()


async def test_the_end_of_a_cell_answers_all_who_wait_for_it() -> None:
    front, cell = Front(), live()
    front.waiting.add(b"a", 1, cell, PATIENCE_S)
    front.waiting.add(b"b", 1, cell, PATIENCE_S)
    assert not front.replies
    end(cell)
    assert front.states() == [(b"a", 1, "done"), (b"b", 1, "done")]
    front.waiting.close()
    assert len(front.replies) == 2


async def test_a_cell_that_has_ended_answers_at_once() -> None:
    front, cell = Front(), live()
    end(cell)
    front.waiting.add(b"a", 1, cell, PATIENCE_S)
    assert front.states() == [(b"a", 1, "done")]


async def test_when_the_time_is_over_the_cell_is_answered_as_it_is() -> None:
    front, cell = Front(), live()
    front.waiting.add(b"a", 1, cell, 0.01)
    async with asyncio.timeout(PATIENCE_S):
        await front.heard.wait()
    end(cell)
    assert front.states() == [(b"a", 1, "queued")]


async def test_callers_that_are_gone_get_no_answer() -> None:
    front, cell = Front(), live()
    front.waiting.add(b"a", 1, cell, PATIENCE_S)
    front.waiting.add(b"a", 2, cell, PATIENCE_S)
    front.waiting.add(b"b", 1, cell, PATIENCE_S)
    front.waiting.cancel(b"a", 1)
    front.waiting.cancel(b"a", 7)
    end(cell)
    assert front.states() == [(b"a", 2, "done"), (b"b", 1, "done")]

    front, cell = Front(), live()
    front.waiting.add(b"a", 1, cell, PATIENCE_S)
    front.waiting.add(b"a", 2, cell, PATIENCE_S)
    front.waiting.add(b"b", 1, cell, PATIENCE_S)
    front.waiting.forget(b"a")
    end(cell)
    assert front.states() == [(b"b", 1, "done")]


async def test_who_waits_at_the_end_is_told() -> None:
    front, cell = Front(), live()
    front.waiting.add(b"a", 1, cell, PATIENCE_S)
    front.waiting.close()
    end(cell)
    assert [reply.fault is not None for _, reply in front.replies] == [True]


async def test_a_cell_that_cannot_be_shown_is_a_fault_of_the_call_alone() -> None:
    front, broken = Front(), live()
    broken.request = msgspec.structs.replace(broken.request, metadata={"a": object()})
    front.waiting.add(b"a", 1, broken, PATIENCE_S)
    end(broken)
    assert [reply.fault is not None for _, reply in front.replies] == [True]
