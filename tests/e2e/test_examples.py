"""Every file of openapi/examples, sent to the real service: the documents show these requests and answers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from rpc import examples
from rpc.examples import Example, Step
from rpc.methods import REGISTRY
from tests.e2e.client import CallFailed, Client
from tests.e2e.conftest import SHORT
from tests.e2e.example_matching import Bindings, Mismatch
from tests.e2e.service import Service, kernelwire, running

EXAMPLES = examples.load()
RETRY_S = 30.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One of its own: an example ends all tokens of its user."""
    with running(tmp_path_factory.mktemp("examples") / "state", extra=SHORT) as service:
        add = ("user", "add", "ann", "--password-stdin", "--state-dir", str(service.state_dir))
        kernelwire(*add, home=service.state_dir.parent, stdin="correct horse battery staple").check_returncode()
        yield service


@pytest.fixture
async def client(anybody: Client) -> AsyncIterator[Client]:
    """`admin` with a new session, of which the example may leave nothing."""
    client = await anybody.log_in()
    yield client
    with contextlib.suppress(CallFailed):
        await (await anybody.log_in(session=client.session)).call("close_session", delete=True)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
async def test_example(example: Example, client: Client) -> None:
    assert example.calls() or any(isinstance(step.request, list) for step in example.steps)
    client.service.private.update((client.token, client.service.password))
    bindings = Bindings({"session:": client.session, "token:": client.token, "password:": client.service.password})
    if REGISTRY[example.method].websocket:
        await _run_over_websocket(example, client, bindings)
        return
    for step in example.steps:
        async with asyncio.timeout(RETRY_S):
            await _run(step, client, bindings)


async def _run(step: Step, client: Client, bindings: Bindings) -> None:
    sender = client if step.token else Client(client.http, client.service)
    while True:
        answer = await sender.post(bindings.fill(step.request))
        got: Any = json.loads(answer.body) if answer.body else None
        assert answer.status == (204 if got is None else 200)
        try:
            bindings.match(step.answer, got)
        except Mismatch:
            if not step.retry:
                raise
            # what the answer depends on has no event to wait for that every example could name
            await asyncio.sleep(0.05)
        else:
            return


async def _run_over_websocket(example: Example, client: Client, bindings: Bindings) -> None:
    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.http.ws_connect(f"{client.service.url}/ws", headers=headers) as socket:
        for step in example.steps:
            await socket.send_json(bindings.fill(step.request))
            for expected in (step.answer, *step.notifications):
                bindings.match(expected, await _received(socket))


async def _received(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return await socket.receive_json(timeout=RETRY_S)


def test_every_method_has_an_example() -> None:
    shown = {example.method for example in EXAMPLES if example.calls()}
    assert sorted(REGISTRY.keys() - shown) == []
