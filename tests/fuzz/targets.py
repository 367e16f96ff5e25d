"""What is fuzzed, and what must hold for every input: no exception but those that are said, no internal error, no 5xx,
no hang. Each target runs its inputs and returns how many there were."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, cast

import aiohttp
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kernel_bridge.errors import WireError
from kernel_bridge.wire import DELIMITER, Codec
from rpc.errors import INTERNAL_ERROR
from tests.property import test_dispatch
from tests.unit.rpc.fakes import TOKEN, Front

INPUT_S = 30.0
"""an input that takes longer hangs"""
WAIT_S = 0.02
from_dict: Any = schemathesis.openapi.from_dict


class Found(AssertionError):
    """An input did what none may do."""


def bounded(inputs: int) -> settings:
    return settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


def _counted(inputs: int, strategy: Any, run: Callable[[Any], None]) -> int:
    sent = 0

    @bounded(inputs)
    @given(value=strategy)
    def one(value: Any) -> None:
        nonlocal sent
        sent += 1
        began = time.monotonic()
        run(value)
        if time.monotonic() - began > INPUT_S:
            raise Found(f"more than {INPUT_S:g} s")

    one()
    return sent


def wire(inputs: int) -> int:
    """Frames of a kernel, of which half are signed: then the decoder looks into them."""
    codec = Codec(b"key", "mine")
    json_like = st.binary(max_size=80) | st.sampled_from([b"{}", b"[]", b"null", b'{"msg_id":1}', b'{"date":"x"}'])
    signed = st.lists(json_like, min_size=4, max_size=6)
    raw = st.lists(st.binary(max_size=60) | st.just(DELIMITER), max_size=9)

    def run(frames: list[bytes]) -> None:
        try:
            codec.decode(frames)
        except WireError:
            return

    def run_signed(parts: list[bytes]) -> None:
        mac: Any = codec._mac  # pyright: ignore[reportPrivateUsage]
        run([DELIMITER, mac.sign(parts[:4]), *parts])

    return _counted(inputs // 2, raw, run) + _counted(inputs - inputs // 2, signed, run_signed)


def dispatch(inputs: int) -> int:
    """Bodies of POST /rpc, at a front whose host is a fake: any bytes, and calls of real methods with any params."""
    call = test_dispatch.calls().map(lambda made: made[0].encode())
    batch = st.lists(call, max_size=4).map(lambda items: b"[" + b",".join(items) + b"]")
    bodies = call | batch | st.binary(max_size=200)
    with asyncio.Runner() as runner:

        async def start() -> Front:
            return Front.of()

        front = runner.run(start())

        def run(body: bytes) -> None:
            front.bridge.asked.clear()
            front.authenticator.revoked.clear()
            raw = runner.run(asyncio.wait_for(front.dispatcher.dispatch(body, [f"Bearer {TOKEN}"], "r"), INPUT_S))
            if raw is not None:
                _check(json.loads(raw))

        sent = _counted(inputs, bodies, run)
        if front.services.long_polls.waiting or front.services.calls.total:
            raise Found("calls are still counted")
    return sent


def http(inputs: int, url: str, password: str) -> int:
    """Requests made from the OpenAPI document, and bodies that are none of it, to a running service."""
    with asyncio.Runner() as runner:
        caller = runner.run(Caller.open(url, password))
        try:
            document = runner.run(caller.document())
            operation = from_dict(document)["/rpc"]["POST"]
            bodies = operation.as_strategy().map(_body)
            mixed = bodies | st.binary(max_size=300) | test_dispatch.calls().map(lambda made: _quick(made[0]))
            return _counted(inputs, mixed, lambda body: runner.run(caller.send(body)))
        finally:
            runner.run(caller.close())


class Caller:
    """Logs in again when an input has ended its token. Close it."""

    def __init__(self, url: str, password: str) -> None:
        self._url = url
        self._password = password
        self._token = ""
        self._session = ""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=INPUT_S))

    @classmethod
    async def open(cls, url: str, password: str) -> "Caller":
        made = cls(url, password)
        await made._log_in()
        return made

    async def close(self) -> None:
        await self._http.close()

    async def document(self) -> Any:
        async with self._http.get(f"{self._url}/openapi.json") as answer:
            return await answer.json()

    async def send(self, body: bytes) -> None:
        """Raises Found, TimeoutError."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        async with self._http.post(f"{self._url}/rpc", data=body, headers=headers) as answer:
            raw = await answer.read()
        if answer.status >= 500:
            raise Found(f"status {answer.status}")
        if raw:
            _check(json.loads(raw))
        if answer.status == 401:
            await self._log_in()

    async def _log_in(self) -> None:
        """To the session that there was, unless an input has deleted it: more of them would reach the limit."""
        found = await self._try_log_in(**({"session": self._session} if self._session else {}))
        if "error" in found and self._session:
            found = await self._try_log_in()
        if "error" in found:
            raise Found(f"log-in: {found['error']}")
        self._token, self._session = found["result"]["token"], found["result"]["session"]

    async def _try_log_in(self, **more: str) -> Any:
        params = {"username": "admin", "password": self._password, **more}
        request = {"jsonrpc": "2.0", "id": 1, "method": "login", "params": params}
        async with self._http.post(f"{self._url}/rpc", json=request) as answer:
            return await answer.json()


def _check(answer: Any) -> None:
    """Raises Found."""
    responses = cast("list[Any]", answer) if isinstance(answer, list) else [answer]
    for response in responses:
        if "error" in response and response["error"]["code"] == INTERNAL_ERROR:
            raise Found(f"internal error {response['error']}")


def _body(case: Any) -> bytes:
    return json.dumps(_tamed(case.body)).encode()


def _quick(text: str) -> bytes:
    """The call as it is: only the first wait of a call by name would hold the fuzzing up, and it is bounded."""
    request = json.loads(text)
    return json.dumps(_tamed(request)).encode()


def _tamed(body: Any) -> Any:
    """The request, but waiting no longer than the fuzzing can: what waits is no finding."""
    if isinstance(body, list):
        return [_tamed(item) for item in cast("list[Any]", body)]
    if not isinstance(body, dict):
        return body
    request = cast("dict[str, Any]", body)
    waits = request.get("method") in ("evaluate", "poll_output")
    if not waits or not isinstance(request.get("params", {}), dict):
        # by position: without params, so that none of them is a long wait
        return {**request, "params": {"wait": WAIT_S}} if waits else request
    params = cast("dict[str, Any]", request.get("params", {}))
    wait = params.get("wait", WAIT_S)
    return {**request, "params": {**params, "wait": WAIT_S if isinstance(wait, int | float) else wait}}
