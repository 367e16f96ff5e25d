"""How long single calls take: rounds in which every system has its turn, in a shuffled order.

A turn of one call finds the caches of the processors full of what the other systems have done, as a service does that
is called now and then on a busy machine; in a turn of many calls only the first does, as with a client that calls on
and on. The more processes a call goes through, the more the first way costs it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.ground import Ground, timed
from bench.protocol import BenchFailed, Session, System
from bench.results import Figure

QUANTITY = "time"
WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Call:
    """What is timed, and how its answer is checked outside of the time."""

    about: str
    rounds: int
    run: Callable[[Session], object]
    right: Callable[[object], bool]
    prepare: str = ""
    """code that every kernel runs before"""
    in_a_row: int = 1
    """calls of a turn"""

    def measure(self, ground: Ground, systems: Sequence[System]) -> list[Figure]:
        """A wrong answer is a failure too."""
        times_s: dict[str, list[float]] = {system.name: [] for system in systems}
        ground.ready(systems)
        for system in ground.sound(systems):
            with ground.trying(system):
                self._warm_up(system, ground.plan.rounds or WARM_UP)
        for _ in ground.rounds(self.rounds):
            for system in ground.shuffled(systems):
                with ground.trying(system):
                    times_s[system.name] += [self._time(system) for _ in range(self.in_a_row)]
        return [timed(system.name, QUANTITY, times_s[system.name]) for system in ground.sound(systems)]

    def _warm_up(self, system: System, rounds: int) -> None:
        if self.prepare:
            system.evaluate(self.prepare)
        for _ in range(rounds):
            self.run(system)

    def _time(self, system: System) -> float:
        begun = time.perf_counter()
        answer = self.run(system)
        took_s = time.perf_counter() - begun
        if not self.right(answer):
            raise BenchFailed(f"{system.name}: {self.about}: wrong answer {str(answer)[:200]!r}")
        return took_s


def _offers(ending: str) -> Callable[[object], bool]:
    return lambda found: ending in str(found)


EVALUATE = Call("evaluate 1+1", 250, lambda session: session.evaluate("1+1"), lambda found: found == "2")
INSPECT = Call(
    "inspect len",
    150,
    lambda session: session.inspect("len"),
    lambda found: isinstance(found, str) and "Return the number of items" in found,
)
ROW = 20
EVALUATE_ROW = replace(EVALUATE, rounds=30, in_a_row=ROW)
INSPECT_ROW = replace(INSPECT, rounds=20, in_a_row=ROW)
COMPLETE_LIVE = Call(
    "complete `import os; os.pa`, os being imported",
    25,
    lambda session: session.complete("import os; os.pa"),
    _offers("path"),
    prepare="import os",
)
COMPLETE_JEDI = Call(
    "complete `import textwrap; textwrap.wr`, nothing being imported",
    25,
    lambda session: session.complete("import textwrap; textwrap.wr"),
    _offers("wrap"),
)
