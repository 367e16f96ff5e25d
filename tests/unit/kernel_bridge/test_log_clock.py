import time
from datetime import UTC, datetime, timedelta

import pytest

from kernel_bridge.clock import rfc3339
from kernel_bridge.log_clock import LogClock


def test_stamps_are_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LogClock()
    before = rfc3339(datetime.now(UTC))
    assert before <= clock.stamp() <= rfc3339(datetime.now(UTC))
    for moment in (1_000_000_000_123_999_999, 1_000_000_000_999_000_000, 1_000_000_001_000_000_000, 999_999_999_999):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment)
        shown = datetime.fromtimestamp(moment // 1_000_000_000, UTC) + timedelta(
            microseconds=moment % 1_000_000_000 // 1000
        )
        assert clock.stamp() == rfc3339(shown)


def test_ages() -> None:
    clock = LogClock()
    now = datetime.now(UTC)
    assert clock.age_s(rfc3339(now - timedelta(hours=1))) == pytest.approx(3600, abs=10)
    assert clock.age_s(rfc3339(now + timedelta(hours=1))) == 0
    assert clock.age_s("2026-99-99T00:00:00.000Z") is None
    assert clock.elapsed_s() <= clock.elapsed_s()
