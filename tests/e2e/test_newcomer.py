"""The first minutes: what the first start makes and says, and that its words work as they stand."""

import json
import os
import re
import stat
import subprocess
import urllib.request
from pathlib import Path

from tests.e2e.conftest import Starter
from tests.e2e.service import START_LINE, Service, environment

PASSWORD_SHOWN = re.compile(r"password (\S+) \(shown this once")


def test_first_start_on_a_pipe(start: Starter) -> None:
    first = start()
    # the start line is the promise that it answers: no second try
    with urllib.request.urlopen(f"{first.url}/healthz", timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"
    text = first.output.wait_for('"evaluate"', 10)
    lines = _lines(text)
    assert START_LINE.fullmatch(lines[0])
    assert lines[1].startswith("Sandbox of kernels: strict"), "a newcomer sees what keeps code in"
    assert lines[2] == f"User admin, password in {first.state_dir / 'admin-password'}"
    assert first.password not in text
    assert _mode(first.state_dir) == 0o700
    for name in ("secret", "hop-secret", "kernelwire.db", "admin-password", "host.json", "host-id"):
        assert _mode(first.state_dir / name) == 0o600, name
    assert _mode(first.sockets) == 0o700

    assert _run_as_printed(first, text)["result"]["text"] == "42"
    first.remember()
    first.stop()

    # until somebody has seen the password, the next start says again where it is
    assert START_LINE.search(first.output.text)


def test_first_start_on_a_terminal(start: Starter) -> None:
    first = start(on_terminal=True)
    text = first.output.wait_for('"evaluate"', 10)
    shown = PASSWORD_SHOWN.search(text)
    assert shown is not None, text
    first.private.add(shown[1])
    assert _run_as_printed(first, text)["result"]["text"] == "42"
    assert not (first.state_dir / "admin-password").exists()
    first.stop()

    second = start(on_terminal=True)
    second.private.add(shown[1])
    second.press_ctrl_c()
    text = second.output.rest()
    second.check_stopped()
    assert "assword" not in text
    assert "curl" not in text
    assert len(START_LINE.findall(text)) == 1
    assert len(_lines(text)) == 2, text


def test_a_password_that_nobody_saw_is_said_again(start: Starter) -> None:
    first = start()
    password = first.password
    first.stop()
    second = start(on_terminal=True)
    assert f"password {password} (shown" in second.output.wait_for('"evaluate"', 10)
    second.private.add(password)
    second.stop()


def _lines(text: str) -> list[str]:
    """Without the echo of Ctrl-C, which stands where the next line begins, and without what root alone is told
    where the interpreter of the tests is closed to others."""
    lines = [line.removeprefix("^C") for line in text.splitlines()]
    return [line for line in lines if line and not (os.geteuid() == 0 and line.startswith("Runs as root: "))]


def _run_as_printed(service: Service, text: str) -> dict[str, dict[str, object]]:
    """Both curl lines as a newcomer copies them, in one shell."""
    lines = [line.strip() for line in text.splitlines() if "curl" in line]
    assert len(lines) == 2
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment(service.state_dir.parent / "home"),
    )
    return json.loads(done.stdout)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
