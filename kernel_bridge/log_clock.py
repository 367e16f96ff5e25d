"""The clocks of an event log: the wall's, for what events say, and one that never jumps, for how old they are."""

import time
from datetime import datetime

from kernel_bridge.clock import WallClock


class LogClock(WallClock):
    """Owned by one log."""

    def elapsed_s(self) -> float:
        """Seconds that nobody can set back or forth; they count on while the machine sleeps (clock_gettime(2))."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def age_s(self, stamp: str) -> float | None:
        """How long ago that was by the wall's clock, 0 if it is yet to come; None if it is no time."""
        try:
            then = datetime.fromisoformat(stamp).timestamp()
        except (ValueError, OverflowError):
            return None
        return max(0.0, time.time() - then)
