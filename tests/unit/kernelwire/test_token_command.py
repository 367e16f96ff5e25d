"""`kernelwire token` and `kernelwire user disable|enable|remove`, and what a front that runs makes of them."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from auth.authenticator import Authenticator
from auth.bootstrap import bootstrap
from auth.errors import InvalidToken
from auth.settings import AuthSettings
from kernelwire.cli import main

KNOWN_WITHIN_S = 2.0
Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `kernelwire ...` on an own state directory: exit code, standard output, standard error."""

    async def run(words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        try:
            code = await asyncio.to_thread(main, [*words.split(), "--state-dir", str(tmp_path / "state")])
        except SystemExit as usage:
            code = int(usage.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Authenticator]:
    """The authenticator of a front that runs, with its defaults."""
    bootstrap(tmp_path / "state")
    authenticator = Authenticator.open(tmp_path / "state")
    await authenticator.refresh()
    watching = asyncio.create_task(authenticator.watch())
    yield authenticator
    watching.cancel()
    await asyncio.wait([watching])
    await authenticator.close()


def counts(front: Authenticator, token: str) -> bool:
    try:
        front.check(token)
    except InvalidToken as error:
        return error.reason != "revoked"
    return True


async def becomes(front: Authenticator, token: str, valid: bool) -> bool:
    """Whether the token does within the time that the contract gives."""
    loop = asyncio.get_running_loop()
    until = loop.time() + KNOWN_WITHIN_S
    # `watch` tells nobody that it has refreshed
    while counts(front, token) is not valid and loop.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return counts(front, token) is valid


async def test_create_list_revoke(run: Run, front: Authenticator) -> None:
    code, said, errors = await run("token create admin --scope manage --scope read --name nightly --days 30")
    assert code == 0
    token = said.strip()
    assert said == f"{token}\n"
    claims = front.check(token)
    assert (claims.user, claims.session, claims.scopes) == ("admin", None, ("read", "manage"))
    assert claims.expires_at - claims.issued_at == 30 * 86_400
    assert claims.token_id in errors
    assert token not in errors

    code, said, errors = await run("token list ADMIN")
    assert (code, errors) == (0, "")
    assert re.fullmatch(rf"{claims.token_id}\tnightly\tread manage\t20\S+Z\t20\S+Z\n", said)

    assert (await run(f"token revoke admin {claims.token_id}"))[0] == 0
    assert await becomes(front, token, valid=False)
    assert (await run("token list admin"))[1] == ""


async def test_defaults(run: Run, front: Authenticator) -> None:
    claims = front.check((await run("token create admin"))[1].strip())
    assert claims.scopes == ("evaluate", "read")
    assert claims.expires_at - claims.issued_at == AuthSettings().script_token_lifetime_s


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("token create eve", 1, "there is no user 'eve'"),
        ("token list a/b", 1, "there is no user 'a/b'"),
        ("token create admin --days 1000", 1, "`expires_in_s`: expected a number of seconds from 1 to"),
        ("token revoke admin 0123", 1, "no valid token with this id"),
        ("token create admin --days nan", 2, "expected a number of days above 0"),
        ("token create admin --days -1", 2, "expected a number of days above 0"),
        ("token create admin --scope root", 2, "invalid choice"),
        ("user disable eve", 1, "there is no user 'eve'"),
        ("user enable eve", 1, "there is no user 'eve'"),
        ("user remove eve", 1, "there is no user 'eve'"),
    ],
)
async def test_refusals(run: Run, words: str, code: int, said: str) -> None:
    found, out, errors = await run(words)
    assert (found, out) == (code, "")
    assert said in errors
    assert "Traceback" not in errors


async def test_a_disabled_user_loses_his_tokens_and_gets_them_back(run: Run, front: Authenticator) -> None:
    token = (await run("token create admin"))[1].strip()
    assert counts(front, token)
    assert (await run("user disable admin"))[:2] == (0, "user admin disabled; its tokens are no longer valid\n")
    assert await becomes(front, token, valid=False)
    assert "admin\t" in (listed := (await run("user list"))[1])
    assert listed.endswith("\tdisabled\n")
    code, _, errors = await run("token create admin")
    assert (code, errors) == (1, "kernelwire: user admin is disabled: `kernelwire user enable admin` first\n")
    assert (await run("user enable admin"))[0] == 0
    assert await becomes(front, token, valid=True)


async def test_a_removed_user_loses_his_tokens(run: Run, front: Authenticator) -> None:
    assert (await run("user add ada --password-stdin", stdin="correct horse\n"))[0] == 0
    user = await front.log_in("ada", "correct horse")
    login, script = front.issue(user, "host.session", "python3")[0], (await run("token create ada"))[1].strip()
    assert counts(front, login)
    assert counts(front, script)
    assert (await run("user remove ada"))[:2] == (0, "user ada removed; its tokens are no longer valid\n")
    assert await becomes(front, login, valid=False)
    assert await becomes(front, script, valid=False)
    assert (await run("user add ada --password-stdin", stdin="correct horse\n"))[0] == 0
    await front.refresh()
    assert not counts(front, login)
    assert (await run("token list ada"))[1] == ""
