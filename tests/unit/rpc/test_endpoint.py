"""POST /rpc and the other routes, over real HTTP."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kernel_bridge import hop
from rpc.app import create_app
from tests.unit.rpc.fakes import TOKEN, Front

Client = TestClient[web.Request, web.Application]
MakeClient = Callable[[Front], Awaitable[Client]]

JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WHOAMI = {"jsonrpc": "2.0", "method": "whoami", "id": 1}
EVALUATE = {"jsonrpc": "2.0", "method": "evaluate", "params": {"code": "x"}, "id": 1}


async def client_of(front: Front) -> Client:
    """A client of a front; aiohttp's TestServer cancels the request of a closed connection, as the runner is to do."""
    server = TestServer(create_app(front.services))
    await server.start_server()
    return TestClient(server)


@pytest.fixture
async def serve() -> AsyncIterator[MakeClient]:
    clients: list[Client] = []

    async def start(front: Front) -> Client:
        clients.append(await client_of(front))
        return clients[-1]

    yield start
    for client in clients:
        await client.close()


async def refused(response: Any, status: int, code: int) -> Any:
    """The error object of a refusal, after checking its form."""
    body = await response.json()
    assert (response.status, response.headers["Content-Type"]) == (status, "application/json")
    assert (body["jsonrpc"], body["id"], body["error"]["code"]) == ("2.0", None, code)
    return body["error"]


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json-rpc",
        "application/vnd.api+json",
    ],
)
async def test_media_types_that_are_json(media_type: str, serve: MakeClient) -> None:
    client = await serve(Front.of())
    headers = {"Content-Type": media_type, **BEARER}
    async with client.post("/rpc", data=json.dumps(WHOAMI), headers=headers) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert (await response.json())["result"]["user"] == "ann"


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "+json", ""],
)
async def test_other_media_types_are_told_what_to_send(media_type: str, serve: MakeClient) -> None:
    front = Front.of()
    client = await serve(front)
    async with client.post(
        "/rpc", data=json.dumps(EVALUATE), headers={"Content-Type": media_type, **BEARER}
    ) as response:
        error = await refused(response, 415, -32600)
    assert "curl --json" in error["message"]
    assert "Content-Type: application/json" in error["message"]
    assert front.bridge.asked == []


async def test_a_compressed_body_is_refused(serve: MakeClient) -> None:
    client = await serve(Front.of())
    headers = {**JSON, "Content-Encoding": "gzip"}
    async with client.post("/rpc", data=gzip.compress(b" " * 10_000_000), headers=headers) as response:
        error = await refused(response, 415, -32600)
    assert "Content-Encoding" in error["message"]


async def test_notifications_get_204(serve: MakeClient) -> None:
    front = Front.of()
    client = await serve(front)
    note = {"jsonrpc": "2.0", "method": "evaluate", "params": ["x"]}
    for body in (note, [note, note]):
        async with client.post("/rpc", json=body, headers=BEARER) as response:
            assert (response.status, await response.read()) == (204, b"")
    assert len(front.bridge.asked) == 3


async def test_an_error_of_a_call_is_200(serve: MakeClient) -> None:
    client = await serve(Front.of())
    async with client.post("/rpc", data=b"{", headers=JSON) as response:
        await refused(response, 200, -32700)
    async with client.post("/rpc", data=b"", headers=JSON) as response:
        await refused(response, 200, -32700)
    async with client.post("/rpc", json=WHOAMI) as response:
        body = await response.json()
        assert (response.status, body["id"], body["error"]["code"]) == (200, 1, -32002)
        assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("body", [WHOAMI, [WHOAMI, WHOAMI], {**WHOAMI, "id": "x"}])
async def test_a_bad_header_is_401_with_a_challenge(body: object, serve: MakeClient) -> None:
    client = await serve(Front.of())
    async with client.post("/rpc", json=body, headers={"Authorization": "Bearer kw_expired"}) as response:
        error = await refused(response, 401, -32002)
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    assert error["data"] == {"reason": "expired"}


async def test_a_bad_header_is_looked_at_after_parsing(serve: MakeClient) -> None:
    client = await serve(Front.of())
    async with client.post("/rpc", data=b"{", headers={**JSON, "Authorization": "Basic x"}) as response:
        await refused(response, 200, -32700)


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_verbs_are_405(verb: str, serve: MakeClient) -> None:
    client = await serve(Front.of())
    async with client.request(verb, "/rpc") as response:
        error = await refused(response, 405, -32600)
        assert response.headers["Allow"] == "POST"
    assert "POST" in error["message"]


@pytest.mark.parametrize("path", ["/", "/rpc/", "/rpc/x", "/%ff", "/../etc/passwd"])
async def test_other_paths_are_404(path: str, serve: MakeClient) -> None:
    client = await serve(Front.of())
    async with client.post(path, json=WHOAMI) as response:
        error = await refused(response, 404, -32600)
    assert "POST /rpc" in error["message"]


async def test_a_body_up_to_the_limit(serve: MakeClient) -> None:
    client = await serve(Front.of(body_bytes=1000))
    body = json.dumps(WHOAMI).ljust(1000)
    async with client.post("/rpc", data=body, headers={**JSON, **BEARER}) as response:
        assert "result" in await response.json()


async def test_a_body_above_the_limit(serve: MakeClient) -> None:
    client = await serve(Front.of(body_bytes=1000))
    async with client.post("/rpc", data=b" " * 1001, headers=JSON) as response:
        error = await refused(response, 413, -32005)
        assert response.headers["Connection"] == "close"
    assert error["data"] == {"limit": "body_bytes", "value": 1000}


async def test_a_chunked_body_above_the_limit(serve: MakeClient) -> None:
    client = await serve(Front.of(body_bytes=1000))

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    async with client.post("/rpc", data=chunks(), headers=JSON) as response:
        await refused(response, 413, -32005)


async def raw(client: Client, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request)
    await writer.drain()
    return reader, writer


async def head(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)


async def test_a_length_too_large_is_refused_before_the_body_comes(serve: MakeClient) -> None:
    client = await serve(Front.of())
    reader, writer = await raw(
        client,
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n",
    )
    assert b" 413 " in await head(reader)
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_does_not_come_is_408(serve: MakeClient) -> None:
    client = await serve(Front.of(body_s=0.05))
    reader, writer = await raw(
        client,
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
    )
    assert b" 408 " in await head(reader)
    writer.close()
    await writer.wait_closed()


async def test_a_broken_chunk_is_400(serve: MakeClient) -> None:
    client = await serve(Front.of())
    reader, writer = await raw(
        client,
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    )
    assert b" 400 " in await head(reader)
    writer.close()
    await writer.wait_closed()


async def test_a_closed_connection_ends_the_wait_but_not_the_call(serve: MakeClient) -> None:
    front = Front.of()
    front.bridge.gate.clear()
    client = await serve(front)
    body = json.dumps(EVALUATE).encode()
    _, writer = await raw(
        client,
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer "
        + TOKEN.encode()
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body,
    )
    async with asyncio.timeout(10):
        await front.bridge.reached.wait()
        assert front.services.lifecycle.requests == 1
        writer.close()
        await writer.wait_closed()
        await front.services.lifecycle.drain(5)
    assert not front.services.lifecycle.cut
    assert [type(request) for request in front.bridge.cancelled] == [hop.Evaluate]
    assert front.services.long_polls.waiting == 0


async def test_headers_of_every_answer(serve: MakeClient) -> None:
    client = await serve(Front.of())
    for verb, path in (("POST", "/rpc"), ("GET", "/rpc"), ("GET", "/x"), ("GET", "/healthz")):
        async with client.request(verb, path, json=WHOAMI) as response:
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Server"] == "kernelwire"
            assert len(response.headers["X-Request-Id"]) == 16


@pytest.mark.parametrize(("given", "taken"), [("abc-1._Z", True), ("a" * 65, False), ("a b", False), ("a<b", False)])
async def test_a_request_id_is_taken_if_it_is_short_and_safe(given: str, taken: bool, serve: MakeClient) -> None:
    front = Front.of()
    client = await serve(front)
    async with client.post("/rpc", json=EVALUATE, headers={**BEARER, "X-Request-Id": given}) as response:
        assert (response.headers["X-Request-Id"] == given) is taken
        assert front.bridge.asked[0].request_id == response.headers["X-Request-Id"]


async def test_draining_is_503_and_health_goes_on(serve: MakeClient) -> None:
    front = Front.of()
    client = await serve(front)
    front.services.lifecycle.draining = True
    async with client.post("/rpc", json=WHOAMI, headers=BEARER) as response:
        await refused(response, 503, -32040)
        assert response.headers["Retry-After"] == "1"
    async with client.get("/healthz") as response:
        assert response.status == 200
    async with client.get("/readyz") as response:
        ready = await response.json()
        assert (ready["ready"], ready["reasons"]) == (False, ["draining"])


async def test_shutdown_answers_what_is_under_way() -> None:
    front = Front.of(drain_s=0.01)
    front.bridge.gate.clear()
    client = await client_of(front)
    poll = asyncio.create_task(client.session.post(client.make_url("/rpc"), json=EVALUATE, headers=BEARER))
    async with asyncio.timeout(10):
        await front.bridge.reached.wait()
        await client.server.close()
        async with await poll as response:
            assert (await response.json())["error"]["code"] == -32040
    await client.close()


async def test_a_defect_in_the_front_itself_is_500_without_a_trace(
    serve: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = Front.of()
    client = await serve(front)

    def broken(token: str | None) -> Any:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(front.authenticator, "check", broken)
    async with client.post("/rpc", json=WHOAMI, headers=BEARER) as response:
        error = await refused(response, 500, -32603)
        assert error["data"] == {"request_id": response.headers["X-Request-Id"]}


async def test_health_and_readiness(serve: MakeClient) -> None:
    front = Front.of()
    client = await serve(front)
    async with client.get("/healthz") as response:
        assert await response.json() == {"status": "ok", "version": "0.0", "api": "1.0", "worker": ""}
    async with client.get("/readyz") as response:
        ready: dict[str, Any] = {"ready": True, "reasons": [], "sandbox": front.bridge.sandbox, "notes": []}
        assert (response.status, await response.json()) == (200, ready)
    front.bridge.notes = ["bridge.limits.cpus is not in force"]
    async with client.get("/readyz") as response:
        assert (response.status, (await response.json())["notes"]) == (200, front.bridge.notes)
    front.bridge.ready = False
    front.authenticator.database_up = False
    async with client.get("/readyz") as response:
        assert (response.status, (await response.json())["reasons"]) == (503, ["host", "database"])


async def test_the_session_works_on_after_all_that(serve: MakeClient) -> None:
    client = await serve(Front.of())
    bad: list[bytes] = [
        b"", b"{", b"[]", b"[1,2]", b"[" * 10_000, b"\xff", b"NaN", b"null",
        b'{"jsonrpc":"2.0","method":"evaluate","params":[1],"id":1}',
        b'{"jsonrpc":"2.0","method":"poll_output","params":{"cursor":' + b"9" * 5000 + b'},"id":1}',
        b'{"jsonrpc":"2.0","method":"x","id":' + b"9" * 5000 + b"}", b'"\\ud800"', b'{"a":' * 10_000,
    ]  # fmt: skip
    for body in bad:
        async with client.post("/rpc", data=body, headers={**JSON, **BEARER}) as response:
            assert response.status == 200
            assert b"error" in await response.read()
        async with client.post("/rpc", json=EVALUATE, headers=BEARER) as response:
            assert (await response.json())["result"]["text"] == "2"
