"""`kernelwire user`, and users beside each other on one service."""

import asyncio
import time
from pathlib import Path

from tests.e2e.client import Client
from tests.e2e.service import Service, kernelwire

PASSWORD = "correct horse ä \U0001d54f"
REVOKED_WITHIN_S = 2.0


def _user(service: Service, *arguments: str, stdin: str = "") -> str:
    done = kernelwire(
        "user", *arguments, "--state-dir", str(service.state_dir), home=service.state_dir.parent, stdin=stdin
    )
    assert done.returncode == 0, done
    assert done.stderr == ""
    return done.stdout


async def test_a_new_user_logs_in_at_once(anybody: Client) -> None:
    service = anybody.service
    said = _user(service, "add", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert "ada" in said
    assert PASSWORD not in said
    assert [line.split("\t")[0] for line in _user(service, "list").splitlines()] == ["ada", "admin"]

    ada = await anybody.log_in("ada", PASSWORD)

    assert (await ada.call("whoami"))["user"] == "ada"
    await ada.call("close_session", delete=True)
    await anybody.fails(-32001, "login", username="ada", password="wrong")
    nobody = await anybody.fails(-32001, "login", username="nobody", password="wrong")
    assert nobody == await anybody.fails(-32001, "login", username="ada", password="wrong")


async def test_a_new_password_ends_all_tokens(anybody: Client) -> None:
    _user(anybody.service, "add", "grace", "--password-stdin", stdin=f"{PASSWORD}\n")
    grace = await anybody.log_in("grace", PASSWORD)
    await grace.call("whoami")

    _user(anybody.service, "passwd", "grace", "--password-stdin", stdin="a new password\r\n")

    until = time.monotonic() + REVOKED_WITHIN_S
    answer = await grace.post({"jsonrpc": "2.0", "id": 1, "method": "whoami"})
    while answer.status == 200 and time.monotonic() < until:
        await asyncio.sleep(0.05)
        answer = await grace.post({"jsonrpc": "2.0", "id": 1, "method": "whoami"})
    assert (answer.status, answer.failure().code, answer.failure().data) == (401, -32002, {"reason": "revoked"})
    assert "WWW-Authenticate" in answer.headers
    await anybody.fails(-32001, "login", username="grace", password=PASSWORD)
    again = await anybody.log_in("grace", "a new password", session=grace.session)
    await again.call("close_session", delete=True)


def test_a_refusal_is_a_sentence(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    done = kernelwire("user", "add", "ADMIN", "--password-stdin", *state, home=tmp_path, stdin=PASSWORD)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kernelwire: there is a user 'ADMIN' already")
    assert len(done.stderr.splitlines()) == 1


def test_the_state_directory_by_environment(tmp_path: Path) -> None:
    chosen = {"KERNELWIRE_STATE_DIR": str(tmp_path / "chosen")}
    added = kernelwire("user", "add", "ada", "--password-stdin", home=tmp_path, stdin=PASSWORD, extra=chosen)
    assert added.returncode == 0
    assert (tmp_path / "chosen" / "kernelwire.db").exists()
    # the flag says more than the environment
    flag = ("--state-dir", str(tmp_path / "other"))
    listed = kernelwire("user", "list", *flag, home=tmp_path, extra=chosen)
    assert [line.split("\t")[0] for line in listed.stdout.splitlines()] == ["admin"]


async def test_the_session_of_another_user(client: Client, anybody: Client) -> None:
    """As if it did not exist, whatever is asked."""
    _user(anybody.service, "add", "eve", "--password-stdin", stdin=f"{PASSWORD}\n")
    await client.evaluate("secret = 1", cell="known")
    eve = await anybody.log_in("eve", PASSWORD)
    assert (await eve.evaluate("1 + 1")).text == "2"
    theirs = client.session

    failures = [
        await eve.fails(-32010, "evaluate", code="secret", session=theirs),
        await eve.fails(-32010, "complete", code="sec", session=theirs),
        await eve.fails(-32010, "inspect", code="secret", session=theirs),
        await eve.fails(-32010, "poll_output", wait=0, session=theirs),
        await eve.fails(-32010, "interrupt", session=theirs),
        await eve.fails(-32010, "input_reply", id="1", value="", session=theirs),
        await eve.fails(-32010, "get_cell", cell="known", session=theirs),
        await eve.fails(-32010, "close_session", delete=True, session=theirs),
        await eve.fails(-32010, "open_session", session=theirs),
        await eve.fails(-32010, "login", username="eve", password=PASSWORD, session=theirs),
    ]
    missing = await eve.fails(-32010, "evaluate", code="1", session=f"{theirs[:-1]}~")
    for failure in failures:
        assert failure.message == missing.message
        assert failure.data is not None
        assert (failure.data["session"], failure.data.get("closed")) == (theirs, False)
    assert [session["session"] for session in (await eve.call("list_sessions"))["sessions"]] == [eve.session]
    assert (await client.evaluate("secret")).text == "1"
    await eve.call("close_session", delete=True)
