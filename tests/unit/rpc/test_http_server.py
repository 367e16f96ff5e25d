"""What is no HTTP request: refused as an error object, with all headers, and logged without a word of it."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from rpc import http_server
from rpc.app import create_app
from tests.unit.rpc.fakes import Front

SECRET = b"kw_do_not_log_me"


@dataclass
class Served:
    port: int = 0
    refused: list[int] = field(default_factory=list[int])

    async def answer(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body; the connection must be closed by the service."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.timeout(10):
            writer.write(request)
            whole = await reader.read()
            writer.close()
            await writer.wait_closed()
        head, _, body = whole.partition(b"\r\n\r\n")
        return int(head.split()[1]), head, body


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    runner = web.AppRunner(create_app(Front.of().services), handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    found = Served()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = await http_server.start(runner, listener, found.refused.append, backlog=8)
        found.port = listener.getsockname()[1]
        yield found
        server.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: %b\r\n\r\n" % (SECRET * 1000), 431),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n%b: x\r\n\r\n" % (SECRET * 1000), 431),
        (b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (SECRET * 500), 414),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n%b no colon\r\n\r\n" % SECRET, 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: %b\r\n\r\n" % SECRET, 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECRET + b"\r\n\r\n", 400),
        (b"%b\r\n\r\n" % SECRET, 400),
    ],
    ids=["value", "name", "line", "colon", "length", "tls", "words"],
)
async def test_refused_in_our_own_words(
    served: Served, caplog: pytest.LogCaptureFixture, request_: bytes, status: int
) -> None:
    caplog.set_level(logging.DEBUG, "kernelwire")
    found, head, body = await served.answer(request_)
    assert found == status
    answer = json.loads(body)
    assert (answer["jsonrpc"], answer["id"], answer["error"]["code"]) == ("2.0", None, -32600)
    assert SECRET not in head + body
    for header in (b"Content-Type: application/json", b"X-Content-Type-Options: nosniff", b"Cache-Control: no-store"):
        assert header in head
    assert served.refused == [status]
    assert [getattr(record, "event", "?") for record in caplog.records] == ["http.refused"]
    assert SECRET.decode() not in caplog.text


async def test_a_header_within_the_limit_is_served(served: Served) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Big: %b\r\n\r\n" % (b"x" * 8000)
    assert (await served.answer(request))[0] == 200
    assert served.refused == []


async def test_a_header_that_never_ends_is_refused_and_not_kept(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: ")
    async with asyncio.timeout(10):
        writer.write(b"x" * 10_000)
        assert b" 431 " in await reader.readline()
        assert served.refused == [431]
        writer.close()
        await writer.wait_closed()


async def test_a_connection_without_a_request_ends(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_S", 0.05)
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    async with asyncio.timeout(10):
        writer.write(request)
        await reader.readuntil(b"}")
        for silence in (b"", request[:30]):
            other, closing = await asyncio.open_connection("127.0.0.1", served.port)
            closing.write(silence)
            assert await other.read() == b""
            closing.close()
            await closing.wait_closed()
        # that one had the same time and more
        writer.write(request)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
    assert served.refused == []
