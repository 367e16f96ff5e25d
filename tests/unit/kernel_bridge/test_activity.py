from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kernel_bridge.activity import SAVE_EVERY_S, Activity

CREATED = "2026-11-22T10:00:00.000Z"
START = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "session.json"
    path.touch()
    return path


def found_by_the_next_host(file: Path) -> datetime:
    return Activity(file, CREATED).last


def test_it_is_saved_now_and_then_and_at_the_end(file: Path) -> None:
    activity = Activity(file, CREATED)
    first = activity.last
    activity.touch(first + timedelta(seconds=SAVE_EVERY_S - 1))
    activity.save()
    assert found_by_the_next_host(file) == first
    activity.touch(first + timedelta(seconds=SAVE_EVERY_S + 1))
    activity.save()
    assert found_by_the_next_host(file) == activity.last > first
    activity.touch(first + timedelta(seconds=SAVE_EVERY_S + 3))
    activity.save(at_once=True)
    assert found_by_the_next_host(file) == activity.last


def test_without_activity_nothing_is_written(file: Path) -> None:
    activity = Activity(file, CREATED)
    before = file.stat().st_mtime_ns
    activity.save(at_once=True)
    assert file.stat().st_mtime_ns == before


def test_a_file_that_is_written_anew_keeps_the_time(file: Path) -> None:
    activity = Activity(file, CREATED)
    activity.touch(START + timedelta(days=3000))
    file.write_text("again")
    activity.rewritten()
    assert found_by_the_next_host(file) == START + timedelta(days=3000)


def test_a_clock_that_goes_back_makes_nothing_older(file: Path) -> None:
    activity = Activity(file, CREATED)
    last = activity.last
    activity.touch(last - timedelta(hours=1))
    assert activity.last == last


def test_a_missing_file(tmp_path: Path) -> None:
    activity = Activity(tmp_path / "none", CREATED)
    assert activity.last == START
    activity.touch(START + timedelta(days=1))
    activity.save(at_once=True)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record(tmp_path: Path) -> None:
    assert Activity(tmp_path / "none", "yesterday").last > START
