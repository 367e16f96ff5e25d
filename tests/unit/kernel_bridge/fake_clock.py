"""A log's clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

from kernel_bridge.clock import rfc3339
from kernel_bridge.log_clock import LogClock

START = datetime(2026, 11, 22, 16, 40, 30, 123000, tzinfo=UTC)


class FakeClock(LogClock):
    """`wall` is what the machine believes; `passed_s` is what really passed."""

    def __init__(self) -> None:
        super().__init__()
        self.wall = START
        self.passed_s = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.passed_s += seconds

    def set(self, seconds: float) -> None:
        """Set the machine's clock forth or back, while no time passes."""
        self.wall += timedelta(seconds=seconds)

    def stamp(self) -> str:
        return rfc3339(self.wall)

    def elapsed_s(self) -> float:
        return self.passed_s

    def age_s(self, stamp: str) -> float | None:
        try:
            return max(0.0, (self.wall - datetime.fromisoformat(stamp)).total_seconds())
        except ValueError:
            return None
