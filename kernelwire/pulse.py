"""Whether a process lives: it is asked again and again, and answers from its event loop.

What counts are questions without an answer, not the time since the last one: a suspended machine, or a supervisor
that stood still itself, asks nothing meanwhile.
"""

import asyncio
import math
from typing import Protocol

ASK_S = 1.0
TRIES = 5
"""even the shortest silence is so many questions"""


class Pulse(Protocol):
    """The way to ask one process."""

    def ask(self) -> bool:
        """Send a question; False if it could not be asked for a reason that is none of the process. Never blocks."""
        ...

    def heard(self) -> bool:
        """Whether anything came from the process since this was called last."""
        ...

    def close(self) -> None:
        """Free what it takes to ask. Idempotent."""
        ...


async def until_silent(pulse: Pulse, silence_s: float) -> None:
    """Return when so many questions in a row went without an answer as are asked in `silence_s` seconds."""
    interval_s = min(ASK_S, silence_s / TRIES)
    tries = math.ceil(silence_s / interval_s)
    missed = 0
    while missed < tries:
        asked = pulse.ask()
        await asyncio.sleep(interval_s)
        missed = 0 if pulse.heard() else missed + asked


async def until_heard(pulse: Pulse) -> None:
    """Return at the next answer."""
    while not pulse.heard():
        pulse.ask()
        await asyncio.sleep(ASK_S)
