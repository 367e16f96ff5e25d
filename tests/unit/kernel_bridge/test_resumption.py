"""A cell under a new host, with a kernel that says what the test wants."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from kernel_bridge import hop, resumption
from kernel_bridge.cell import LiveCell
from kernel_bridge.clock import utcnow
from kernel_bridge.errors import KernelBusy, KernelDied
from kernel_bridge.execute_reply import ExecuteReply
from kernel_bridge.inputs import Inputs
from kernel_bridge.kernel import Kernel
from kernel_bridge.outputs import OutputFold
from kernel_bridge.probe import Probe
from kernel_bridge.results import Exit
from kernel_bridge.resumption import Resumption
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.sync import PendingInput
from kernel_bridge.wire import Message

RUNS: dict[str, Any] = {"running": {"msg_id": "x-c", "execution_count": 3}, "replies": [], "input": None}
ENDED: dict[str, Any] = {
    "running": None,
    "replies": [{"msg_id": "x-c", "content": {"status": "ok", "execution_count": 3}}],
    "input": None,
}
NOTHING: dict[str, Any] = {"running": {"msg_id": "x-other"}, "replies": [], "input": None}
ASKS: dict[str, Any] = {**RUNS, "input": {"msg_id": "x-c", "prompt": "name? ", "password": False}}
BOUND_S = 5.0


class Script:
    """Stands for the kernel and for the inputs of its cell."""

    def __init__(self) -> None:
        self.has_sync = True
        self.behind = False
        self.says: dict[str, Any] | Exception = RUNS
        self.asked = 0
        self.probes: list[Probe] = []
        self.timed = 0
        self.calls: list[str] = []
        self.request = hop.Evaluate(caller=hop.Caller("u", "user"), session="s", code="1")
        self.cell = LiveCell("s", "c", self.request, OutputFold(), utcnow(), state="running", resumed=True)
        self.task: asyncio.Task[None] | None = None

    async def ask(self, *_: object, **__: object) -> Message:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.says, Exception):
            raise self.says
        return Message("kernelwire_sync_reply", "m", "q", msgspec.json.encode(self.says), b"{}")

    def probe(self, probe: Probe) -> None:
        self.probes.append(probe)

    def learn(self, _: bytes) -> None:
        self.calls.append("learn")

    def found(self, cell: LiveCell, pending: PendingInput) -> None:
        self.calls.append(f"found {pending.prompt}")
        cell.input_id = "new"

    def over(self, cell: LiveCell) -> None:
        self.calls.append("over")
        cell.input_id = None

    def time(self, _: LiveCell) -> None:
        self.timed += 1

    def begin(self) -> None:
        settings = BridgeSettings(introspection_s=0.1)
        made = Resumption(cast("Kernel", self), self.cell, cast("Inputs", self), self.time, settings)
        self.task = asyncio.create_task(made.run())

    async def completed(self) -> None:
        async with asyncio.timeout(BOUND_S):
            await self.cell.completed.wait()

    async def answers(self, more: int) -> None:
        """Wait until it has asked so often again."""
        wanted = self.asked + more
        async with asyncio.timeout(BOUND_S):
            while self.asked < wanted:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.001)


@pytest.fixture
async def script(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Script]:
    for name, seconds in (("AGAIN_S", 0.002), ("RARELY_S", 0.004), ("PASS_S", 0.01)):
        monkeypatch.setattr(resumption, name, seconds)
    made = Script()
    yield made
    if made.task is not None:
        made.task.cancel()
        await asyncio.wait([made.task])


async def test_it_goes_on_until_somebody_else_sees_its_end(script: Script) -> None:
    script.begin()
    await script.answers(4)
    assert not script.cell.completed.is_set()
    assert script.cell.begun.is_set()
    assert (script.cell.execution_count, script.probes) == (3, [])
    assert script.timed
    script.cell.completed.set()
    assert script.task is not None
    await asyncio.wait_for(script.task, BOUND_S)


async def test_a_remembered_reply_waits_for_the_last_output(script: Script) -> None:
    script.says = ENDED
    script.begin()
    await script.answers(1)
    async with asyncio.timeout(BOUND_S):
        while not script.probes:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert not script.cell.completed.is_set()
    script.probes[0].answered.set()  # on shell; iopub may be behind
    await asyncio.sleep(0)
    assert not script.cell.completed.is_set()
    script.probes[0].passed.set()
    await script.completed()
    assert script.cell.reply is not None
    assert (script.cell.end_by(closing=False), script.cell.execution_count) == ("ok", 3)
    assert not script.timed  # its time may be over by now, but it ended before


async def test_output_that_still_comes_is_waited_for(script: Script) -> None:
    script.says = ENDED
    script.behind = True
    script.begin()
    await asyncio.sleep(0.15)  # longer than all tries, if they counted
    assert not script.cell.completed.is_set()
    assert len(script.probes) == 1
    script.behind = False
    await script.completed()
    assert len(script.probes) > 1  # iopub may have connected after the first


async def test_a_cell_that_was_not_begun_is_lost_only_when_the_probe_behind_it_was_answered(script: Script) -> None:
    script.says = NOTHING
    script.begin()
    await script.answers(5)
    assert not script.cell.completed.is_set()
    assert len(script.probes) == 1
    script.says = RUNS  # it had come to the kernel, and begins now
    await script.answers(3)
    script.says = NOTHING
    await script.answers(3)
    assert not script.cell.completed.is_set()
    script.probes[-1].answered.set()
    await script.completed()
    assert script.cell.end_by(closing=False) == "lost"


async def test_nothing_is_decided_without_an_answer(script: Script) -> None:
    script.says = KernelBusy(0.1)
    script.begin()
    await script.answers(5)
    assert not script.cell.completed.is_set()
    assert script.probes == []
    assert script.timed
    script.says = ENDED
    await script.completed()
    assert script.cell.end_by(closing=False) == "ok"


async def test_a_death_ends_the_questions(script: Script) -> None:
    script.says = KernelDied(Exit(1))
    script.begin()
    assert script.task is not None
    await asyncio.wait_for(script.task, BOUND_S)
    assert not script.cell.completed.is_set()  # who sees the exit says how it ended


async def test_an_input_that_nobody_was_asked_for_is_asked_for_once(script: Script) -> None:
    script.says = ASKS
    script.begin()
    await script.answers(4)
    assert script.calls == ["found name? "]


async def test_an_input_that_is_known_is_left_alone(script: Script) -> None:
    script.cell.input_id = "old"
    script.says = ASKS
    script.begin()
    await script.answers(4)
    assert script.calls == []


async def test_an_input_that_was_answered_is_over(script: Script) -> None:
    script.cell.input_id = "old"
    script.begin()
    await script.answers(4)
    assert script.calls == ["over"]


async def test_what_the_stdin_channel_said_is_newer(script: Script) -> None:
    script.cell.stdin_live = True
    script.says = ASKS
    script.begin()
    await script.answers(3)
    script.cell.input_id = "asked on stdin"
    script.says = RUNS
    await script.answers(3)
    assert script.calls == []


@pytest.mark.parametrize("replied", [False, True])
async def test_a_kernel_that_remembers_nothing(script: Script, *, replied: bool) -> None:
    script.has_sync = False
    script.begin()
    await asyncio.sleep(0.02)
    assert script.asked == 0
    assert not script.cell.completed.is_set()
    (probe,) = script.probes
    if replied:
        script.cell.reply = ExecuteReply("ok")  # on shell, before the answer
    probe.answered.set()
    await script.completed()
    assert script.cell.end_by(closing=False) == ("ok" if replied else "lost")


async def test_lost_is_the_last_thing_to_say(script: Script) -> None:
    script.says = NOTHING
    script.cell.interrupted = True
    script.begin()
    await script.answers(2)
    script.probes[0].answered.set()
    await script.completed()
    assert script.cell.end_by(closing=False) == "interrupted"
