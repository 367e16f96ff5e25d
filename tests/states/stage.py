"""Brings a session of a running service into each state, calls methods there, and checks that it still works."""

import asyncio
import dataclasses
import os
import signal
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.e2e.service import Service
from tests.states.calls import CALLS, Scene, batches
from tests.states.wire import Reply, Wire

PATIENCE_S = 60.0
TRIES = 20
OF_TOKENS = ("logout", "refresh", "create_token", "list_tokens", "revoke_token")
SLEEP = "import time; time.sleep(60)"
KERNEL_STATES = {"waiting": "busy", "restarting": "starting", "closed": "none"}
"""where `kernel_state` is not the state's own name"""


class Stage:
    """One user with one session. Nobody else may use them meanwhile."""

    def __init__(self, service: Service, http: aiohttp.ClientSession, user: str, password: str) -> None:
        self._service = service
        self._http = http
        self._user = user
        self._password = password
        self._session = ""
        self._under_way: list[asyncio.Task[Reply]] = []

    async def play(self, state: str) -> dict[str, str]:
        """What each method answers in `state`. Raises TimeoutError."""
        answers: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            for methods in batches(state):
                wire = await Wire.connect(self._http, self._service.url)
                try:
                    answers |= await self._act(wire, state, methods)
                finally:
                    await wire.close()
            await self._work()
        return answers

    async def _act(self, wire: Wire, state: str, methods: Sequence[str]) -> dict[str, str]:
        scene = await self._prepare(wire)
        scene = await self._enter(wire, state, scene)
        try:
            replies = await self._call(wire, scene, state, methods)
        finally:
            if state == "away":
                self._signal_host(signal.SIGCONT)
        if self._under_way:
            await asyncio.wait(self._under_way)
            self._under_way.clear()
        return replies

    async def _call(self, wire: Wire, scene: Scene, state: str, methods: Sequence[str]) -> dict[str, str]:
        """Send all calls, then wait for all answers; the state must have held when each of them was sent."""
        before = await wire.send("session_info", session=scene.session)
        sent = {name: await wire.send(name, **CALLS[name].params(scene)) for name in methods if name != "logout_all"}
        after = await wire.send("session_info", session=scene.session)
        if "logout_all" in methods:
            # the database keeps no order between calls; and what still waits would end with its token
            await asyncio.wait([sent[name] for name in (*OF_TOKENS, "evaluate") if name in sent])
            sent["logout_all"] = await wire.send("logout_all")
        replies = {name: await reply for name, reply in sent.items()}
        self._check(state, await before)
        last = await after
        if len(methods) > 1:
            self._check(state, last)
        for name, reply in replies.items():
            assert reply.after_s < CALLS[name].bound_s, f"{name} in {state}: {reply.after_s:.1f} s"
        return {name: _text(name, reply) for name, reply in replies.items()}

    def _check(self, state: str, reply: Reply) -> None:
        if state == "away":
            assert reply.error == "HostUnavailable", reply
            return
        assert reply.error is None, reply
        assert reply.result["kernel_state"] == KERNEL_STATES.get(state, state), (state, reply.result)
        assert reply.result["closed"] is (state == "closed")
        assert (reply.result["input_id"] is not None) is (state == "waiting")

    # -- states ----------------------------------------------------------------------------------------------------

    async def _prepare(self, wire: Wire) -> Scene:
        """Log in to the session, which is open then, and make what calls need besides."""
        attach = {"session": self._session} if self._session else {}
        login = {"username": self._user, "password": self._password, **attach}
        made = await self._log_in(wire, login)
        wire.token, self._session = made["token"], made["session"]
        if not attach:
            await wire.ask("evaluate", session=self._session, code="'first'", cell="first")
        spare = await wire.ask("login", **login | {"session": self._session})
        await wire.ask("share_session", session=self._session, user="admin")
        made = await wire.ask("create_token", scopes=["read"])
        subscribed = await wire.ask("subscribe", session=self._session)
        return Scene(
            self._user, self._password, self._session, spare["token"], made["token_id"], subscribed["subscription"]
        )

    async def _log_in(self, wire: Wire, login: dict[str, Any]) -> Any:
        """As clients are told to: when the host is away, again after `retry_after_s`."""
        for _ in range(TRIES):
            reply = await (await wire.send("login", **login))
            if reply.error is None:
                return reply.result
            assert reply.error == "HostUnavailable", reply
            await asyncio.sleep(reply.result["data"]["retry_after_s"])
        raise AssertionError("the host did not come back")

    async def _enter(self, wire: Wire, state: str, scene: Scene) -> Scene:
        own = {"session": scene.session}
        if state in ("none", "starting", "closed"):
            await wire.ask("close_session", **own)
        else:
            await wire.ask("interrupt", **own)
            await wire.ask("evaluate", **own, code="1+1")
        match state:
            case "none":
                await wire.ask("open_session", **own)
            case "starting":
                await wire.ask("open_session", **own)
                await wire.ask("evaluate", **own, code="1+1", wait=0)
            case "busy":
                cell = await wire.ask("evaluate", **own, code=SLEEP, wait=0)
                await self._until(wire, "execute_input", cell)
                return dataclasses.replace(scene, wait=0)
            case "waiting":
                cell = await wire.ask("evaluate", **own, code="input()", wait=0, allow_stdin=True)
                asked = await self._until(wire, "input_request", cell)
                return dataclasses.replace(scene, wait=0, input_id=asked["id"])
            case "dead":
                await wire.ask("evaluate", **own, code="import os; os._exit(1)")
            case "restarting":
                self._under_way.append(await wire.send("restart", **own))
            case "away":
                self._signal_host(signal.SIGSTOP)
            case _:
                pass
        return scene

    async def _until(self, wire: Wire, type: str, cell: Any) -> Any:
        """The content of the cell's event of this type."""
        cursor = cell["cursor"] - 1
        while True:
            page = await wire.ask("poll_output", session=self._session, cell=cell["cell"], cursor=cursor, wait=20)
            found = [event for event in page["events"] if event["type"] == type]
            if found:
                return found[0]["content"]
            assert page["events"], f"no {type}"
            cursor = page["cursor"]

    def _signal_host(self, signum: signal.Signals) -> None:
        os.kill(self._service.one("_host").pid, signum)

    async def _work(self) -> None:
        """Whatever was done to the session: it evaluates."""
        wire = await Wire.connect(self._http, self._service.url)
        try:
            await self._prepare(wire)
            await wire.ask("interrupt", session=self._session)
            cell = await wire.ask("evaluate", session=self._session, code="1+1")
            assert (cell["end"], cell["text"]) == ("ok", "2"), cell
        finally:
            await wire.close()


def _text(method: str, reply: Reply) -> str:
    fact = CALLS[method].fact
    if reply.error is not None:
        return reply.error
    return "ok" if fact is None else f"ok: {fact(reply.result)}"
