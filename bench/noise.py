"""The noise of the machine: how much a loop that always does the same varies while the rest is measured."""

import time

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
