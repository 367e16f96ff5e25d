"""The cells of a run: each prints numbered lines, and leaves outside of the service what it did.

In the session's working directory:

- `runs`: a line `CELL COUNT KERNEL` for each time that a cell began; COUNT is a variable of the kernel, one more
  each time, and KERNEL another, its first cell's time: in a PID namespace all kernels have the same number;
- `printed-CELL`: how many lines it has printed, as 8 bytes in a shared mapping, which outlive a killed kernel;
- `stop-CELL`: made by `stop`; the cell ends when it is there.

A line is `CELL NUMBER TIME`, with the time (seconds since the epoch) just before it was printed.
"""

from dataclasses import dataclass
from pathlib import Path

MOST_S = 60.0
"""a cell that nobody stops ends after this time"""
CALM_LINES = 100
"""a flood begins after so many lines with pauses between them, so that a busy machine strikes before it is over"""
CALM_S = 0.008

CODE = """\
import mmap, os, time
count = globals().get("count", 0) + 1
kernel = globals().get("kernel", time.time_ns())
with open("runs", "a") as runs:
    runs.write(f"{cell} {{count}} {{kernel}}\\n")
with open("printed-{cell}", "w+b") as file:
    file.write(bytes(8))
    file.flush()
    printed = mmap.mmap(file.fileno(), 8)
number, until = 0, time.monotonic() + {most_s}
while number < {lines} and not os.path.exists("stop-{cell}") and time.monotonic() < until:
    print(f"{cell} {{number}} {{time.time():.4f}}", flush=True)
    number += 1
    printed[:] = number.to_bytes(8, "little")
    time.sleep({calm_s} if number < {calm_lines} else {pause_s})
"""


@dataclass(frozen=True, slots=True)
class Chatter:
    """One cell. `lines`: it ends after so many; `pause_s`: between two of them."""

    cell: str
    lines: int
    pause_s: float

    @property
    def code(self) -> str:
        return CODE.format(
            cell=self.cell,
            lines=self.lines,
            pause_s=self.pause_s,
            calm_s=max(CALM_S, self.pause_s),
            calm_lines=CALM_LINES,
            most_s=MOST_S,
        )

    def stop(self, workdir: Path) -> None:
        """Let the cell end."""
        (workdir / f"stop-{self.cell}").touch()

    def printed(self, workdir: Path) -> int:
        """How many lines it has printed so far; 0 if it never began."""
        try:
            return int.from_bytes((workdir / f"printed-{self.cell}").read_bytes(), "little")
        except FileNotFoundError:
            return 0


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line. `time`: seconds since the epoch."""

    cell: str
    number: int
    time: float

    @classmethod
    def read(cls, text: str) -> "Line":
        """Raises ValueError: no cell of ours printed this."""
        cell, number, time = text.split(" ")
        return cls(cell, int(number), float(time))


@dataclass(frozen=True, slots=True)
class Run:
    """A cell began to run."""

    cell: str
    count: int
    kernel: int


def runs(workdir: Path) -> list[Run]:
    """Every run of a cell in this directory, in order."""
    try:
        lines = (workdir / "runs").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [Run(cell, int(count), int(kernel)) for cell, count, kernel in (line.split(" ") for line in lines)]
