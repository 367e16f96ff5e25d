"""What a newcomer is told, and that it is told once."""

import shlex
from pathlib import Path

import pytest

from auth.first_password import Bootstrapped
from kernelwire.first_start import greet

PASSWORD = "23456789abcdefghjkmnpqrs"


@pytest.fixture
def found(tmp_path: Path) -> Bootstrapped:
    file = tmp_path / "admin-password"
    file.write_text(PASSWORD)
    return Bootstrapped(True, PASSWORD, file)


def _said(found: Bootstrapped, *, terminal: bool) -> list[str]:
    said: list[str] = []
    greet(found, "http://127.0.0.1:1", found.admin_password_file.parent, said.append, terminal=terminal)
    return said


def test_a_terminal_shows_the_password_and_forgets_it(found: Bootstrapped) -> None:
    said = _said(found, terminal=True)
    assert PASSWORD in said[0]
    assert not found.admin_password_file.exists()


def test_a_pipe_is_told_the_file(found: Bootstrapped) -> None:
    said = _said(found, terminal=False)
    assert PASSWORD not in "".join(said)
    assert str(found.admin_password_file) in said[0]
    assert found.admin_password_file.exists()


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_to_say(tmp_path: Path, terminal: bool) -> None:
    assert _said(Bootstrapped(False, None, tmp_path / "admin-password"), terminal=terminal) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_the_lines_are_whole_shell_commands(found: Bootstrapped, terminal: bool) -> None:
    lines = [line for line in _said(found, terminal=terminal) if "curl" in line]
    assert len(lines) == 2
    assert lines[0].lstrip().startswith("token=$(")
    words = shlex.split(lines[1])
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:1/rpc"]
    assert "Authorization: Bearer $token" in words


def test_with_tls_curl_does_not_look_at_the_certificate(found: Bootstrapped) -> None:
    said: list[str] = []
    greet(found, "https://127.0.0.1:1", found.admin_password_file.parent, said.append, terminal=False)
    lines = [line for line in said if line.startswith("  ")]
    assert len(lines) == 2
    assert all("curl -s --insecure https://127.0.0.1:1/rpc" in line for line in lines)
