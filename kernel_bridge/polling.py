"""Reading a session's events as they come: what poll_output answers."""

import asyncio
from collections.abc import Callable

from msgspec import Raw

from kernel_bridge.cells import Cells
from kernel_bridge.errors import InvalidArgument, SessionNotFound
from kernel_bridge.hop import PollOutput
from kernel_bridge.journal import Journal
from kernel_bridge.results import KernelState, Page


async def poll(journal: Journal, cells: Cells, asked: PollOutput, kernel_state: Callable[[], KernelState]) -> Page:
    """Events after the cursor, as soon as there is one; an empty page after `wait`.

    Raises InvalidArgument(cursor, newest) beyond the newest event, CellNotFound, SessionNotFound (deleted meanwhile).
    """
    if asked.cursor > journal.newest:
        newest = journal.newest
        raise InvalidArgument("cursor", f"a seq from 0 to {newest}, the newest event", newest=newest)
    if asked.cell is not None:
        cells.must_be_known(asked.cell)
    loop = asyncio.get_running_loop()
    until = loop.time() + asked.wait
    cursor = asked.cursor
    while True:
        read = journal.read(cursor, asked.cell, asked.limit, asked.max_bytes)
        cursor = read.cursor
        done = cells.is_over(asked.cell, cursor) if asked.cell is not None else None
        left = until - loop.time()
        if read.events or done or (left <= 0 and not read.more):
            return Page([Raw(event) for event in read.events], cursor, journal.events.oldest, kernel_state(), done)
        if read.more:
            await asyncio.sleep(0)  # a long log with few matches: others have their turn
        else:
            await journal.changed.wait(left)
        if journal.closed:
            raise SessionNotFound(asked.session)
