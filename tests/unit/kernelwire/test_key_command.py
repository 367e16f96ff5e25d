"""`kernelwire key`, what a front that runs makes of it, and what commands leave in the audit log."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from auth.authenticator import Authenticator
from auth.bootstrap import ADMIN, bootstrap
from auth.errors import InvalidToken
from auth.secret import load
from kernelwire.cli import main

KNOWN_WITHIN_S = 2.0
Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    async def run(words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = await asyncio.to_thread(main, [*words.split(), "--state-dir", str(tmp_path / "state")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Authenticator]:
    """The authenticator of a front that runs."""
    found = bootstrap(tmp_path / "state")
    authenticator = Authenticator.open(tmp_path / "state")
    await authenticator.refresh()
    watching = asyncio.create_task(authenticator.watch())
    assert found.admin_password is not None
    await authenticator.log_in(ADMIN, found.admin_password)
    yield authenticator
    watching.cancel()
    await asyncio.wait([watching])
    await authenticator.close()


async def issue(front: Authenticator) -> str:
    user = await front.find_user(ADMIN)
    assert user is not None
    return front.issue(user, None, None)[0]


async def becomes(condition: Callable[[], bool]) -> bool:
    until = asyncio.get_running_loop().time() + KNOWN_WITHIN_S
    while not condition() and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110  nobody tells
        await asyncio.sleep(0.02)
    return condition()


def valid(front: Authenticator, token: str) -> bool:
    try:
        front.check(token)
    except InvalidToken:
        return False
    return True


def audited(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "state" / "audit.jsonl").read_text().splitlines()]


async def test_old_tokens_go_on_and_new_ones_have_the_new_key(front: Authenticator, run: Run, tmp_path: Path) -> None:
    old = await issue(front)
    assert valid(front, old)
    code, said, errors = await run("key rotate")
    assert (code, errors) == (0, "")
    keys = load(tmp_path / "state")
    assert said == f"key {keys.ids[-1]} signs from now on; tokens of older keys go on until they expire\n"

    other = Authenticator.open(tmp_path / "state")  # knows the new key at once
    new = await issue(other)
    await other.close()
    assert await becomes(lambda: valid(front, new))
    assert valid(front, old)


async def test_revoking_ends_all_tokens_where_the_service_runs(front: Authenticator, run: Run, tmp_path: Path) -> None:
    old = await issue(front)
    assert valid(front, old)  # and is remembered as such
    assert (await run("key rotate --revoke"))[0] == 0
    assert await becomes(lambda: not valid(front, old))
    assert valid(front, await issue(front))


async def test_a_broken_file_changes_nothing_for_a_front_that_runs(
    front: Authenticator, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = await issue(front)
    secret = tmp_path / "state" / "secret"
    before = secret.read_bytes()
    secret.write_bytes(b"no key\n")
    assert await becomes(lambda: "keys_kept" in caplog.text)
    assert valid(front, old)
    secret.write_bytes(before)


async def test_the_list_shows_no_key(run: Run, tmp_path: Path) -> None:
    bootstrap(tmp_path / "state")
    await run("key rotate")
    _, said, _ = await run("key list")
    lines = [line.split("\t") for line in said.splitlines()]
    keys = load(tmp_path / "state")
    assert [(line[0], line[2]) for line in lines] == [(keys.ids[0], "verifies"), (keys.ids[1], "signs")]
    assert all(line[1].endswith("Z") for line in lines)
    assert not any(key.hex()[:8] in said for key in keys.keys)


async def test_commands_are_audited(run: Run, tmp_path: Path) -> None:
    await run("user add ada --password-stdin", stdin="correct horse\n")
    _, token, _ = await run("token create ada")
    token_id = (await run("token list ada"))[1].split("\t")[0]
    for words in (f"token revoke ada {token_id}", "user disable ada", "user enable ada", "user remove ada"):
        assert (await run(words))[0] == 0
    await run("user list")
    await run("key rotate --revoke")
    found = audited(tmp_path)
    assert [one["event"] for one in found] == [
        "user_added",
        "token_created",
        "token_revoked",
        "user_disabled",
        "user_enabled",
        "user_removed",
        "key_rotated",
    ]
    assert all(one["by"] == "command" for one in found)
    text = (tmp_path / "state" / "audit.jsonl").read_text()
    assert "correct horse" not in text
    assert token.strip() not in text


async def test_a_command_whose_record_fails_says_so(run: Run, tmp_path: Path) -> None:
    bootstrap(tmp_path / "state")
    (tmp_path / "state" / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    code, _, errors = await run("user add ada --password-stdin", stdin="correct horse\n")
    assert code == 0
    assert errors.startswith("kernelwire: not in the audit log: ")
