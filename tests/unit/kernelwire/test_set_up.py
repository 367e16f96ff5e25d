"""Set-up in a process of its own: what it made, and what it failed with, reach whoever started it."""

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from auth.settings import AuthSettings
from kernelwire import handed_settings, set_up
from kernelwire.errors import Failed
from kernelwire.settings import Settings


@pytest.fixture
def settings_fd() -> Generator[int]:
    descriptor = handed_settings.hand_on(Settings())
    yield descriptor
    os.close(descriptor)


def _runs(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def command_line(*_: str) -> list[str]:
        return [sys.executable, "-I", "-c", code]

    monkeypatch.setattr(set_up, "command_line", command_line)


async def test_the_first_start_makes_the_administrator(tmp_path: Path, settings_fd: int) -> None:
    state_dir = tmp_path / "state \udcff"
    made = await set_up.set_up(state_dir, settings_fd)
    assert made.created
    assert made.admin_password == made.admin_password_file.read_text().strip()
    again = await set_up.set_up(state_dir, settings_fd)
    assert (again.created, again.admin_password) == (False, made.admin_password)


async def test_a_refusal_comes_in_its_own_words(tmp_path: Path, settings_fd: int) -> None:
    tmp_path.chmod(0o750)
    with pytest.raises(Failed, match=r"chmod 700"):
        await set_up.set_up(tmp_path, settings_fd)


async def test_a_damaged_database_is_said(tmp_path: Path, settings_fd: int) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "kernelwire.db").write_bytes(b"this is not a database" * 100)
    (tmp_path / "kernelwire.db").chmod(0o600)
    with pytest.raises(Failed, match="cannot be used: file is not a database") as failed:
        await set_up.set_up(tmp_path, settings_fd)
    assert "sessions go on" not in str(failed.value)


async def test_the_settings_are_those_of_the_supervisor(tmp_path: Path) -> None:
    database = tmp_path / "elsewhere.db"
    descriptor = handed_settings.hand_on(Settings(auth=AuthSettings(database_url=f"sqlite:///{database}")))
    try:
        await set_up.set_up(tmp_path / "state", descriptor)
    finally:
        os.close(descriptor)
    assert database.exists()


@pytest.mark.parametrize("code", ["import os; os.kill(os.getpid(), 9)", "print('{')", "print('{\"created\": 1}')"])
async def test_a_process_without_an_answer_is_a_failure(
    code: str, tmp_path: Path, settings_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _runs(monkeypatch, code)
    with pytest.raises(Failed, match=r"the set-up of .* failed"):
        await set_up.set_up(tmp_path, settings_fd)


async def test_one_that_takes_too_long_is_ended(
    tmp_path: Path, settings_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_up, "TIMEOUT_S", 0.01)
    pids = tmp_path / "pid"
    _runs(monkeypatch, f"import os, time; open({str(pids)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    with pytest.raises(Failed, match="took more than"):
        await set_up.set_up(tmp_path, settings_fd)
    assert not pids.exists() or not Path("/proc", pids.read_text() or "none").exists()


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(set_up.Answer(created=True, admin_password="hunter2"))
