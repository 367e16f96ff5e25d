"""The noise of the machine: how much a loop that always does the same varies, and what else the CPUs do.

Source: proc_stat(5).
"""

import time
from pathlib import Path

TARGET_S = 0.002
FIRST_COUNT = 2_000


class BusyLoop:
    """Counts to a number that takes about TARGET_S on this machine when it is undisturbed."""

    def __init__(self, count: int) -> None:
        self._count = count

    @classmethod
    def calibrated(cls) -> "BusyLoop":
        """The best of ten runs tells the speed of the machine."""
        best_s = min(cls(FIRST_COUNT).run() for _ in range(10))
        return cls(max(1, round(FIRST_COUNT * TARGET_S / best_s)))

    def run(self) -> float:
        """The seconds that it took."""
        begun = time.perf_counter()
        for _ in range(self._count):
            pass
        return time.perf_counter() - begun


def other_work(seconds: float) -> float:
    """The part of all CPUs, 0..1, that is busy while we sleep for so long."""
    before = _ticks()
    time.sleep(seconds)
    busy, everything = (after - begun for after, begun in zip(_ticks(), before, strict=True))
    return busy / everything if everything > 0 else 0.0


def _ticks() -> tuple[int, int]:
    """Of all CPUs since boot: busy, and together with idle and iowait. Time stolen by other guests counts as busy."""
    numbers = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    everything = sum(numbers)
    return everything - numbers[3] - numbers[4], everything
