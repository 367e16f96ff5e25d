"""A cell that prints numbered lines until it is told to stop: so a fault falls while it prints, on any machine."""

from dataclasses import dataclass
from pathlib import Path

from tests.e2e.client import Client
from tests.e2e.patient import persistent

CELL = "counting"
_ENOUGH = "enough"
_MOST = 6000
"""ends it where no test does; a minute and more"""
_CODE = f"""
import os, time
number = 0
while not os.path.exists({_ENOUGH!r}) and number < {_MOST}:
    print(number, flush=True)
    number += 1
    time.sleep(0.01)
print({_ENOUGH!r})
"""


@dataclass(frozen=True, slots=True)
class Counting:
    """The cell `CELL` of the client's session, which runs."""

    workdir: Path

    @classmethod
    async def start(cls, client: Client) -> "Counting":
        """Return when it prints."""
        where = await persistent(lambda: client.evaluate("import os; print(os.getcwd())"))
        await persistent(lambda: client.evaluate(_CODE, wait=0, cell=CELL))
        await client.until("stream", cursor=where.cursor)
        return cls(Path(where.text.strip()))

    def stop(self) -> None:
        (self.workdir / _ENOUGH).touch()


def lines(text: str) -> list[int]:
    """The numbers in what the cell printed, in their order; it must have come to its end."""
    assert text.endswith(f"\n{_ENOUGH}\n"), text[-200:]
    return [int(line) for line in text.splitlines()[:-1]]
