"""What the service ends by itself: idle kernels, and the tokens of users who may no longer come in."""

import asyncio
import time

import aiohttp

from tests.e2e.client import Client
from tests.e2e.conftest import Starter
from tests.e2e.service import Service, kernelwire

KNOWN_WITHIN_S = 2.0
# Half of a limit is left in peace, the host looks every two seconds
CULLING = {"KERNELWIRE_BRIDGE__KERNEL_IDLE_S": "4"}


def run(service: Service, *words: str, stdin: str = "") -> str:
    """A command beside the service."""
    arguments = (*words, "--state-dir", str(service.state_dir))
    done = kernelwire(*arguments, home=service.state_dir.parent / "home", stdin=stdin)
    assert done.returncode == 0, done
    return done.stdout.strip()


async def test_an_idle_kernel_is_stopped_with_notice_and_comes_back(
    start: Starter, http: aiohttp.ClientSession
) -> None:
    service = start(extra=CULLING)
    client = await Client(http, service).log_in()
    # A cell that runs for longer than the limit is not idle
    cell = await client.call("evaluate", code="import time; x = 1; time.sleep(7)")
    assert cell["end"] == "ok"
    ahead = await client.until("notice")
    assert ahead.content["kind"] == "kernel_stop_ahead"
    assert ahead.time > cell["finished_at"]
    stopped = await client.until("notice", cursor=ahead.seq)
    assert stopped.content["kind"] == "kernel_stopped"
    assert (await client.poll(stopped.seq, wait=0)).kernel_state == "none"
    assert (await client.call("evaluate", code="'x' in globals()"))["text"] == "False"
    anew = await client.until("notice", cursor=stopped.seq)
    assert anew.content["kind"] == "kernel_started_anew"
    assert ahead.time < stopped.time < anew.time
    service.stop()


async def test_a_script_token_until_its_user_is_disabled(anybody: Client) -> None:
    service = anybody.service
    run(service, "user", "add", "mary", "--password-stdin", stdin="correct horse\n")
    mary = await anybody.log_in("mary", "correct horse")
    token = run(service, "token", "create", "mary", "--scope", "read", "--scope", "manage")
    service.private.add(token)
    script = Client(anybody.http, service, token)
    assert (await script.call("whoami"))["session"] is None
    assert [one["session"] for one in (await script.call("list_sessions"))["sessions"]] == [mary.session]
    await script.fails(-32602, "poll_output", wait=0)
    await script.fails(-32003, "evaluate", code="1", session=mary.session)
    assert (
        run(service, "token", "list", "mary").split("\t")[0]
        == (await script.call("list_tokens"))["tokens"][0]["token_id"]
    )
    await mary.call("close_session", delete=True)

    run(service, "user", "disable", "mary")

    for client in (mary, script):
        until = time.monotonic() + KNOWN_WITHIN_S
        answer = await client.post({"jsonrpc": "2.0", "id": 1, "method": "whoami"})
        while answer.status == 200 and time.monotonic() < until:
            await asyncio.sleep(0.05)
            answer = await client.post({"jsonrpc": "2.0", "id": 1, "method": "whoami"})
        assert (answer.status, answer.failure().data) == (401, {"reason": "revoked"})
    await anybody.fails(-32001, "login", username="mary", password="correct horse")
    run(service, "user", "remove", "mary")
