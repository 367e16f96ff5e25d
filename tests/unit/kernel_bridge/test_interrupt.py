"""When the `timeout` of a cell is over."""

from typing import Any, cast

from kernel_bridge import hop
from kernel_bridge.cell import LiveCell
from kernel_bridge.clock import utcnow
from kernel_bridge.execute_reply import ExecuteReply
from kernel_bridge.interrupt import Interrupts
from kernel_bridge.outputs import OutputFold
from kernel_bridge.settings import BridgeSettings


class NoKernel:
    kernel = None


def running() -> LiveCell:
    request = hop.Evaluate(caller=hop.Caller("u", "user"), session="s", code="1")
    return LiveCell(session="s", id="c", request=request, fold=OutputFold(), queued_at=utcnow())


async def test_it_counts_until_the_code_has_ended_whatever_output_is_on_its_way() -> None:
    interrupts = Interrupts(cast("Any", NoKernel()), BridgeSettings(idle_grace_s=0.01))
    ended, runs = running(), running()
    ended.reply = ExecuteReply("ok")
    interrupts.timed_out(ended)
    assert (ended.timed_out, ended.may_kill, len(interrupts.tasks)) == (False, False, 0)
    interrupts.timed_out(runs)
    assert (runs.timed_out, runs.may_kill, len(interrupts.tasks)) == (True, True, 1)
    for task in list(interrupts.tasks):
        assert await task == "not_running"
