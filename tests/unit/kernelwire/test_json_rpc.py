"""One call over HTTP, against servers that answer this and that."""

import contextlib
import json
import socket
import threading
from collections.abc import Generator
from typing import Any

import pytest

from kernelwire import json_rpc
from kernelwire.errors import Failed
from kernelwire.json_rpc import CallFailed


@contextlib.contextmanager
def _answering(answer: bytes | None) -> Generator[tuple[str, list[bytes]]]:
    """A server for one request, and what came; None: it never answers."""
    came: list[bytes] = []
    done = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            start, _, body = head.partition(b"\r\n\r\n")
            length = int(start.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(4096)
            came.extend((start, body))
            if answer is None:
                done.wait(10)
            else:
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/prefix", came
        finally:
            done.set()
            thread.join(10)


def _http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def test_a_call() -> None:
    with _answering(_http(b'{"jsonrpc": "2.0", "id": 1, "result": {"a": 1.0}}')) as (url, came):
        assert json_rpc.call(url, "evaluate", {"code": "ä"}, "kw_token") == b'{"a": 1.0}'
    head, body = came
    assert head.startswith(b"POST /prefix/rpc HTTP/1.1\r\n")
    assert b"Authorization: Bearer kw_token" in head
    assert json.loads(body) == {"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "ä"}}


def test_a_call_without_a_token() -> None:
    with _answering(_http(b'{"jsonrpc": "2.0", "id": 1, "result": null}')) as (url, came):
        assert json_rpc.call(url, "rpc.discover", {}, None) == b"null"
    assert b"authorization" not in came[0].lower()


def test_an_error() -> None:
    error: dict[str, Any] = {"code": -32010, "message": "SessionNotFound: no", "data": {"session": "s"}}
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
    with _answering(_http(body, "401 Unauthorized")) as (url, _), pytest.raises(CallFailed) as raised:
        json_rpc.call(url, "whoami", {}, "kw_token")
    assert (raised.value.error.code, raised.value.error.data) == (-32010, {"session": "s"})
    assert str(raised.value) == "SessionNotFound: no"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_http(b"<html>", "502 Bad Gateway"), "HTTP status 502 and no JSON-RPC"),
        (_http(b"{}"), "no JSON-RPC"),
        (_http(b"[]"), "no JSON-RPC"),
        (_http(b'{"result": 1, "error": "x"}'), "no JSON-RPC"),
        (b"SSH-2.0-OpenSSH\r\n", "does not answer"),
        (b"", "does not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "does not answer"),
    ],
)
def test_what_is_no_answer(answer: bytes, words: str) -> None:
    with _answering(answer) as (url, _), pytest.raises(Failed, match=words) as raised:
        json_rpc.call(url, "whoami", {}, "kw_token")
    assert url in str(raised.value)
    assert "kw_token" not in str(raised.value)


def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rpc, "ANSWER_S", 0.1)
    with _answering(None) as (url, _), pytest.raises(Failed, match="does not answer"):
        json_rpc.call(url, "whoami", {}, None)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Failed, match="does not answer"):
        json_rpc.call(f"http://127.0.0.1:{port}", "whoami", {}, None)


@pytest.mark.parametrize("token", ["kw_ab\r", "kw_a\nb", "kw_日本"])
def test_what_cannot_be_a_token_is_not_quoted(token: str) -> None:
    with pytest.raises(Failed, match="token") as failed:
        json_rpc.call("http://127.0.0.1:1", "whoami", {}, token)
    assert "kw_" not in str(failed.value)


@pytest.mark.parametrize("url", ["http://a..b", f"http://{'a' * 80}"])
def test_a_name_that_no_host_can_have(url: str) -> None:
    with pytest.raises(Failed, match="does not answer: this is no address"):
        json_rpc.call(url, "whoami", {}, None)
