"""A cell that ran when its host was killed: what its kernel says of it to the new host, until it has ended.

The kernel may be at it still; then it ends as every cell does. It may have ended meanwhile, its reply sent to nobody:
a kernel under our launcher remembers it, of others nothing is known. It may wait for input that nobody was asked for.
A kernel that does not answer, for C code holds its interpreter, is asked again as long as it lives.
"""

import asyncio
from collections.abc import Callable

from kernel_bridge import sync
from kernel_bridge.cell import LiveCell
from kernel_bridge.errors import KernelBusy, KernelDied
from kernel_bridge.execute_reply import ExecuteReply
from kernel_bridge.inputs import Inputs
from kernel_bridge.kernel import Kernel
from kernel_bridge.probe import Probe
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.sync import Sync

AGAIN_S = 0.2
RARELY_S = 5.0
"""a cell that is known to run is asked for ever less often: only at first may its own words have been missed"""
PASS_S = 0.5
PASS_TRIES = 4
"""for the last output of a cell that has ended: iopub may still be connecting, then the probe is sent again"""


class Resumption:
    """`run` is a task of the owner's, who cancels it when the cell has ended."""

    def __init__(
        self,
        kernel: Kernel,
        cell: LiveCell,
        inputs: Inputs,
        start_timer: Callable[[LiveCell], None],
        settings: BridgeSettings,
    ) -> None:
        """`start_timer`: has the cell's `timeout` watched; it may be called more than once."""
        self._kernel = kernel
        self._cell = cell
        self._inputs = inputs
        self._start_timer = start_timer
        self._deadline_s = settings.introspection_s

    async def run(self) -> None:
        """Return when the cell has completed, as `cell.completed` then says, or the kernel has died."""
        try:
            if not self._kernel.has_sync:
                await self._by_probe()
            if self._kernel.has_sync:
                await self._by_sync()
        except KernelDied:
            return  # the cell ends of that

    async def _by_sync(self) -> None:
        cell = self._cell
        probe: Probe | None = None
        pause_s = AGAIN_S
        while not cell.completed.is_set():
            # What the kernel knows after it has answered the probe is all that it will ever know
            final = probe is not None and probe.answered.is_set()
            told = await self._ask()
            reply = told.reply_to(cell.id) if told is not None else None
            if reply is None:
                self._start_timer(cell)  # not before: it may have ended in time
            if told is not None and told.runs(cell.id):
                probe = None
                pause_s = min(2 * pause_s, RARELY_S)
                self._is_running(told)
            elif reply is not None:
                await self._has_ended(reply)
                return
            elif told is not None and final:
                self._is_lost()
                return
            elif told is not None and probe is None:
                probe = Probe()
                self._kernel.probe(probe)
                pause_s = AGAIN_S
            await _within(cell.completed, pause_s)

    async def _by_probe(self) -> None:
        """For a kernel that remembers nothing: if it answers and has not replied to the cell, it never will."""
        cell, probe = self._cell, Probe()
        self._start_timer(cell)
        self._kernel.probe(probe)
        await _any_within(probe.answered, cell.completed, None)
        if cell.completed.is_set():
            return
        self._kernel.learn(probe.content)
        if self._kernel.has_sync:
            return
        await _any_within(probe.passed, cell.completed, PASS_S)
        if cell.reply is None:
            self._is_lost()
        else:
            cell.idle = True
            cell.completed.set()

    async def _ask(self) -> Sync | None:
        """None if the kernel does not answer, or if its answer is older than what its stdin channel said."""
        live = self._cell.stdin_live
        try:
            told = await sync.ask(self._kernel, self._deadline_s)
        except KernelBusy:
            return None
        return told if live == self._cell.stdin_live else None

    def _is_running(self, told: Sync) -> None:
        cell = self._cell
        cell.begun.set()
        if cell.execution_count is None and told.running is not None:
            cell.execution_count = told.running.execution_count
        if cell.stdin_live:
            return
        pending = told.input_of(cell.id)
        if pending is not None and cell.input_id is None:
            self._inputs.found(cell, pending)
        elif pending is None and cell.input_id is not None:
            self._inputs.over(cell)

    async def _has_ended(self, reply: ExecuteReply) -> None:
        """Wait for what it printed last, else that would come after its end."""
        cell, probe, silences = self._cell, Probe(), 0
        self._kernel.probe(probe)
        while silences < PASS_TRIES:
            cursor = cell.cursor
            await _any_within(probe.passed, cell.completed, PASS_S)
            if probe.passed.is_set() or cell.completed.is_set():
                break
            if cell.cursor == cursor and not self._kernel.behind:
                silences += 1
                self._kernel.probe(probe)
        if cell.reply is None:
            cell.take_reply(reply)
        cell.idle = True
        cell.completed.set()

    def _is_lost(self) -> None:
        cell = self._cell
        known = cell.interrupted or cell.timed_out or cell.forced_end is not None or cell.reply is not None
        if not known:  # else that is how it ended
            cell.forced_end = "lost"
        cell.completed.set()


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def _any_within(first: asyncio.Event, second: asyncio.Event, seconds: float | None) -> None:
    """Return when one of two events is set, or after `seconds`; None: the caller is cancelled at the cell's end."""
    waits = [asyncio.create_task(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
