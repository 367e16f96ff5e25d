import asyncio
import errno
import fcntl
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from auth import audit
from auth.audit import AUDIT_FILE, AuditFile, AuditLog, AuditSettings, line_of


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_records_are_lines_of_a_private_file(tmp_path: Path) -> None:
    log = AuditLog.of(tmp_path, AuditSettings())
    log.record("login", outcome="failed", user="ada", address=None)
    log.record("evaluate", bytes=3)
    await log.close()
    first, second = records(tmp_path / AUDIT_FILE)
    assert {**first, "time": ""} == {"event": "login", "time": "", "outcome": "failed", "user": "ada"}
    assert second["event"] == "evaluate"
    assert (tmp_path / AUDIT_FILE).stat().st_mode & 0o777 == 0o600


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    log = AuditLog.of(tmp_path, AuditSettings(enabled=False))
    log.record("login")
    await log.close()
    assert not log.enabled
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["x" * 100_000, "\ud800" * 10, "a\nb", '{"event":"login"}', "\x1b[31m"])
def test_what_a_stranger_says_is_one_short_line(text: str) -> None:
    line = line_of("login", {"user": text})
    assert line.count(b"\n") == 1
    assert len(line) < 1000
    assert json.loads(line)["event"] == "login"
    assert b"\x1b" not in line


async def test_files_turn_over_and_are_bounded(tmp_path: Path) -> None:
    file = AuditFile(tmp_path, AuditSettings(max_bytes=4096, files=3))
    for number in range(200):
        file.append([line_of("e", {"n": number, "pad": "x" * 100})])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [AUDIT_FILE, f"{AUDIT_FILE}.1", f"{AUDIT_FILE}.2"]
    kept = [one["n"] for name in reversed(names) for one in records(tmp_path / name)]
    assert kept == list(range(kept[0], 200))
    assert all((tmp_path / name).stat().st_size <= 4096 for name in names)


def test_one_file_alone(tmp_path: Path) -> None:
    file = AuditFile(tmp_path, AuditSettings(max_bytes=4096, files=1))
    for number in range(100):
        file.append([line_of("e", {"n": number, "pad": "x" * 100})])
    assert [path.name for path in tmp_path.iterdir()] == [AUDIT_FILE]
    assert records(tmp_path / AUDIT_FILE)[-1]["n"] == 99


async def test_a_full_disk_fails_nobody_and_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    full = True

    def write(fd: int, data: bytes) -> int:
        if full:
            os.write(fd, data[:5])
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, data)

    log = AuditLog(AuditFile(tmp_path, AuditSettings(), write))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            log.record("evaluate")
            await settled(log)
        assert (log.lost, (tmp_path / AUDIT_FILE).read_bytes()) == (3, b"")
        assert [record.message for record in caplog.records] == ["audit_lost reason=No space left on device"]
        full = False
        log.record("login")
        await log.close()
    assert [(one["event"], one.get("count")) for one in records(tmp_path / AUDIT_FILE)] == [
        ("records_lost", 3),
        ("login", None),
    ]


async def test_a_disk_that_stands_still_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LOCK_S", 0.05)
    monkeypatch.setattr(audit, "WAITING_RECORDS", 10)
    path = tmp_path / AUDIT_FILE
    path.touch(0o600)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        log = AuditLog.of(tmp_path, AuditSettings())
        for _ in range(25):
            log.record("evaluate")
        await settled(log)
        assert log.lost == 25
    log.record("login")
    await log.close()
    assert records(path)[0]["count"] == 25


async def settled(log: AuditLog) -> None:
    """What was recorded has been tried."""
    async with asyncio.timeout(10):
        while log._waiting or log._writing or log._due:  # pyright: ignore[reportPrivateUsage]  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    (tmp_path / AUDIT_FILE).symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="Too many levels"):
        AuditFile(tmp_path, AuditSettings()).append([b"{}\n"])
    assert (tmp_path / "other").read_bytes() == b""


WRITER = """
import sys
from pathlib import Path
from auth.audit import AuditFile, AuditSettings, line_of
file = AuditFile(Path(sys.argv[1]), AuditSettings(max_bytes=1 << 20, files=1000))
for n in range(300):
    file.append([line_of("e", {"writer": sys.argv[2], "n": n, "pad": "x" * 120})])
"""


def test_processes_share_it(tmp_path: Path) -> None:
    """Lines stay whole and none is lost, though the file turns over meanwhile."""
    writer = WRITER.replace("1 << 20", "4096")
    writers = [subprocess.Popen([sys.executable, "-c", writer, str(tmp_path), name]) for name in "abc"]
    assert [process.wait(60) for process in writers] == [0, 0, 0]
    found = [(one["writer"], one["n"]) for path in tmp_path.iterdir() for one in records(path)]
    assert sorted(found) == [(name, n) for name in "abc" for n in range(300)]
