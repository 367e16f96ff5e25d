"""Figures that follow what is, whatever was told before."""

import os
from pathlib import Path

from kernel_bridge.events import from_service
from kernel_bridge.log import EventLog, LogLimits
from kernel_bridge.tally import LogTally, SessionShare, Tally
from tests.unit.kernel_bridge.fake_clock import FakeClock


def test_sessions_kernels_and_queues_are_sums_of_shares() -> None:
    tally = Tally()
    one, other = SessionShare(tally), SessionShare(tally)
    one.update(closed=False, kernel="starting", queued=3)
    other.update(closed=False, kernel="none", queued=1)
    one.update(closed=False, kernel="busy", queued=2)
    one.update(closed=False, kernel="busy", queued=2)
    other.update(closed=True, kernel="idle", queued=0)
    stats = tally.stats("1")
    assert stats.sessions == {"open": 1, "closed": 1}
    assert {state: count for state, count in stats.kernels.items() if count} == {"busy": 1, "idle": 1}
    assert stats.queued == 2
    one.leave()
    one.update(closed=False, kernel="idle", queued=9)  # what was still under way
    other.leave()
    stats = tally.stats("1")
    assert not any(stats.sessions.values())
    assert not any(stats.kernels.values())
    assert stats.queued == 0


def test_a_log_counts_what_it_stores_removes_and_loses(tmp_path: Path) -> None:
    tally = LogTally()
    full = False

    def write(descriptor: int, data: bytes) -> int:
        if full:
            raise OSError(28, "No space left on device")
        return os.write(descriptor, data)

    clock = FakeClock()
    log = EventLog.open(tmp_path, LogLimits(segment_bytes=400), clock=clock, write=write, tally=tally)
    event = from_service("notice", {"text": "x" * 150}, None)
    for _ in range(4):
        assert log.append(event) is not None
    segments = sorted(tmp_path.glob("events-*.jsonl"), key=lambda path: int(path.stem.partition("-")[2]))
    lines = b"".join(path.read_bytes().split(b"\n", 1)[1] for path in segments)
    assert (tally.stored_events, tally.stored_bytes) == (4, len(lines))
    assert len(segments) > 1
    clock.pass_by(30 * 86400)
    log.retain()
    assert tally.truncated_events == log.oldest - 1 > 0
    left = segments[-1].read_bytes().split(b"\n", 1)[1]
    assert tally.truncated_bytes == len(lines) - len(left)
    full = True
    assert log.append(event) is None
    assert (tally.dropped_events, tally.dropped_bytes) == (1, event.size)
    full = False
    log.close()
    assert (tally.dropped_events, tally.stored_events) == (1, 5)  # the `dropped` event itself
