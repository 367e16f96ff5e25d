"""What a host counts, traces and logs of real cells."""

import asyncio
from dataclasses import dataclass, field

import pytest
from structlog.contextvars import get_contextvars

from kernel_bridge import hop, tracing
from kernel_bridge.cell import LiveCell
from kernel_bridge.runner import Runner
from kernel_bridge.stats import Stats
from tests.kernel.house import ALICE, House

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _stats(home: House) -> Stats:
    return await home.ask(hop.Stats(caller=hop.Caller("", "")))


def _there(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


async def test_figures_follow_what_happens(home: House) -> None:
    assert _there((await _stats(home)).sessions) == {}
    session, other = await home.open(), await home.open()
    assert _there((await _stats(home)).sessions) == {"open": 2}
    assert _there((await _stats(home)).kernels) == {}

    starting = asyncio.create_task(home.evaluate(session, "1 + 1"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert _there((await _stats(home)).kernels) == {"starting": 1}
    assert (await starting).end == "ok"
    stats = await _stats(home)
    assert _there(stats.kernels) == {"idle": 1}
    assert stats.cells == {"ok": 1}
    assert stats.queued == 0
    assert stats.stored_events == (await home.events(session))[-1].seq

    await home.evaluate(session, "input()", wait=0.0, allow_stdin=True)
    await home.evaluate(session, "2", wait=0.0)
    await home.evaluate(session, "3", wait=0.0)
    asked = await home.until(session, "input_request")
    stats = await _stats(home)
    assert _there(stats.kernels) == {"busy": 1}
    assert stats.queued == 2
    await home.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value=""))
    assert (await home.evaluate(session, "4")).end == "ok"
    stats = await _stats(home)
    assert (_there(stats.kernels), stats.queued, stats.cells) == ({"idle": 1}, 0, {"ok": 5})

    died = await home.evaluate(session, "import os; os._exit(3)")
    assert died.end == "kernel_died"
    stats = await _stats(home)
    assert _there(stats.kernels) == {"dead": 1}
    assert stats.cells == {"ok": 5, "kernel_died": 1}

    await home.ask(hop.CloseSession(caller=ALICE, session=other))
    assert _there((await _stats(home)).sessions) == {"open": 1, "closed": 1}
    for gone in (session, other):
        await home.ask(hop.CloseSession(caller=ALICE, session=gone, delete=True))
    await asyncio.sleep(0)
    stats = await _stats(home)
    assert (_there(stats.sessions), _there(stats.kernels), stats.queued) == ({}, {}, 0)
    assert stats.stored_events > 0


@dataclass
class Recorded:
    """One span: who is above it, and whether it ended."""

    name: str
    parent: str | None
    traceparent: str
    facts: dict[str, tracing.Attribute]
    ended: bool = False
    failed: bool = False

    def end(self, *, failed: bool = False, **facts: tracing.Attribute) -> None:
        assert not self.ended, self.name
        self.ended, self.failed = True, failed
        self.facts |= facts


@dataclass
class Recorder:
    spans: list[Recorded] = field(default_factory=list[Recorded])

    def start(self, name: str, parent: str | None, **facts: tracing.Attribute) -> Recorded:
        self.spans.append(Recorded(name, parent, f"span-{len(self.spans)}", facts))
        return self.spans[-1]

    def close(self) -> None:
        pass


async def test_the_spans_of_one_evaluate(home: House) -> None:
    recorder = Recorder()
    session = await home.open()
    code = "'marker' + '_of_code'"
    asked = hop.Evaluate(caller=ALICE, session=session, code=code, traceparent=PARENT, request_id="r1")
    await tracing.traced(recorder, asked, home.service.answer)
    host, queue, run, kernel = recorder.spans
    assert [span.name for span in recorder.spans] == ["host.evaluate", "cell.queue", "cell.run", "kernel.execute"]
    assert [span.parent for span in recorder.spans] == [PARENT, host.traceparent, host.traceparent, run.traceparent]
    assert all(span.ended and not span.failed for span in recorder.spans), recorder.spans
    assert (queue.facts, run.facts, kernel.facts) == ({}, {"end": "ok"}, {})
    assert "marker" not in repr(recorder.spans)
    assert all("traceparent" not in str(event.content) for event in await home.events(session))

    await home.evaluate(session, "1")  # its call is not traced
    assert len(recorder.spans) == 4


async def test_the_lines_of_a_cell_carry_its_own_call(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []
    begin = Runner._begin  # pyright: ignore[reportPrivateUsage]

    def watched(self: Runner, cell: LiveCell) -> None:
        seen.append(get_contextvars())
        begin(self, cell)

    monkeypatch.setattr(Runner, "_begin", watched)
    session = await home.open()
    for request_id in ("first", "second"):
        await home.evaluate(session, "1", request_id=request_id, wait=0.0)
    await home.evaluate(session, "2", request_id="third")
    assert [facts["request_id"] for facts in seen] == ["first", "second", "third"]
    assert {facts["session"] for facts in seen} == {session.partition(".")[2][:8]}
    assert get_contextvars() == {}
