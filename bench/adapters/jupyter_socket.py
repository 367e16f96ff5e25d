"""One kernel of Jupyter Server or Kernel Gateway, over its WebSocket."""

import http.client
import itertools
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import websocket

from bench.adapters import socket_frames
from bench.adapters.socket_frames import SUBPROTOCOL, Message
from bench.protocol import BenchFailed, Hear

ANSWER_S = 25.0
"""below the server's 30 s between pings, each of which would begin the wait anew"""
QUIET_S = 6.0
"""silence after which the rest of a stream is taken for lost: longer than a server is stopped for"""


class _Kernel(msgspec.Struct):
    id: str


class _Status(msgspec.Struct):
    execution_state: str = ""


class _Stream(msgspec.Struct):
    name: str = ""
    text: str = ""


class _Data(msgspec.Struct):
    data: dict[str, Any] = {}


class _Reply(msgspec.Struct):
    status: str = "ok"
    matches: list[str] = []
    data: dict[str, Any] = {}
    ename: str = ""


class JupyterSocket:
    """Starts the kernel by POST /api/kernels. websocket-client sets TCP_NODELAY on its side."""

    def __init__(self, system: str, port: int, token: str) -> None:
        self._system = system
        self._port = port
        self._headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        self._numbers = itertools.count(1)
        self._kernel = ""
        self._begun = ""
        """the cell of `begin`, until its idle has come"""
        self._socket: websocket.WebSocket | None = None

    def start(self) -> None:
        self._kernel = msgspec.json.decode(self._ask_http("POST", "/api/kernels", b"{}"), type=_Kernel).id
        address = f"ws://127.0.0.1:{self._port}/api/kernels/{self._kernel}/channels?session_id=bench"
        try:
            self._socket = websocket.create_connection(
                address,
                timeout=ANSWER_S,
                subprotocols=[SUBPROTOCOL],
                header=[f"Authorization: {self._headers['Authorization']}"],
                skip_utf8_validation=True,
            )
        except (OSError, websocket.WebSocketException) as error:
            raise BenchFailed(f"{self._system}: no WebSocket: {error!r}") from None
        if self._socket.getsubprotocol() != SUBPROTOCOL:
            raise BenchFailed(f"{self._system}: the server does not speak {SUBPROTOCOL}")

    def evaluate(self, code: str) -> str:
        msg_id = self._execute(code)
        text, idle, reply = "", False, None
        while not idle or reply is None:
            message = self._about(msg_id)
            if message.msg_type == "execute_result":
                text = str(msgspec.json.decode(message.content, type=_Data).data.get("text/plain", ""))
            elif message.msg_type == "execute_reply":
                reply = msgspec.json.decode(message.content, type=_Reply)
            idle = idle or _is_idle(message)
        if reply.status != "ok":
            raise BenchFailed(f"{self._system}: the cell ended {reply.status} {reply.ename}")
        return text

    def inspect(self, code: str) -> str:
        reply = self._ask("inspect_request", {"code": code, "cursor_pos": len(code), "detail_level": 0})
        return str(reply.data.get("text/plain", ""))

    def complete(self, code: str) -> list[str]:
        return self._ask("complete_request", {"code": code, "cursor_pos": len(code)}).matches

    def stream(self, code: str, hear: Hear | None = None) -> list[str]:
        msg_id = self._execute(code)
        texts: list[str] = []
        assert self._socket is not None
        self._socket.settimeout(QUIET_S)
        try:
            for message in self._outputs(msg_id):
                if message.msg_type == "stream":
                    found = msgspec.json.decode(message.content, type=_Stream)
                    if found.name == "stdout":  # stderr: the server's words on its limit
                        texts.append(found.text)
                        if hear is not None:
                            hear(texts[-1])
        except websocket.WebSocketTimeoutException:
            pass  # the idle was lost with the rest: what came is what is counted
        finally:
            self._socket.settimeout(ANSWER_S)
        return texts

    def begin(self, code: str) -> None:
        self._begun = self._execute(code)
        for message in self._outputs(self._begun):
            if message.msg_type == "stream":
                return
        raise BenchFailed(f"{self._system}: the cell ended without output")

    def finish(self) -> None:
        while self._begun:
            self._about(self._begun)

    def kernel(self) -> tuple[int, ...]:
        return (int(self.evaluate("__import__('os').getpid()")),)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None
        if self._kernel:
            kernel, self._kernel = self._kernel, ""
            self._ask_http("DELETE", f"/api/kernels/{kernel}")

    def _execute(self, code: str) -> str:
        content: dict[str, Any] = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        return self._send("execute_request", content)

    def _ask(self, msg_type: str, content: dict[str, Any]) -> _Reply:
        msg_id = self._send(msg_type, content)
        while True:
            message = self._about(msg_id)
            if message.channel == "shell":
                return msgspec.json.decode(message.content, type=_Reply)

    def _send(self, msg_type: str, content: dict[str, Any]) -> str:
        assert self._socket is not None
        msg_id = f"bench-{next(self._numbers)}"
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "username": "bench",
            "session": "bench",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "version": "5.4",
        }
        encoded = socket_frames.encode("shell", msgspec.json.encode(header), msgspec.json.encode(content))
        try:
            self._socket.send_binary(encoded)
        except (OSError, websocket.WebSocketException) as error:
            raise BenchFailed(f"{self._system}: {error!r}") from None
        return msg_id

    def _outputs(self, msg_id: str) -> Iterator[Message]:
        """What iopub says about a request, up to its idle."""
        while not _is_idle(message := self._about(msg_id)):
            if message.channel == "iopub":
                yield message

    def _about(self, msg_id: str) -> Message:
        """The next message that belongs to a request. Raises BenchFailed; a time-out of `stream` passes."""
        assert self._socket is not None
        while True:
            try:
                frame = self._socket.recv()
            except websocket.WebSocketTimeoutException:
                if self._socket.gettimeout() == QUIET_S:
                    raise
                raise BenchFailed(f"{self._system}: no message in {ANSWER_S:g} s") from None
            except (OSError, websocket.WebSocketException) as error:
                raise BenchFailed(f"{self._system}: {error!r}") from None
            if isinstance(frame, str) or not frame:
                raise BenchFailed(f"{self._system}: the server closed the WebSocket")
            message = socket_frames.decode(frame)
            if message.parent_id == self._begun and _is_idle(message):
                self._begun = ""  # it comes on the same way as answers that one waits for meanwhile
            if message.parent_id == msg_id:
                return message

    def _ask_http(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)
        try:
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise BenchFailed(f"{self._system}: {method} {path}: {answer.status} {answer.reason}")
            return answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BenchFailed(f"{self._system}: {method} {path}: {error!r}") from None
        finally:
            connection.close()


def _is_idle(message: Message) -> bool:
    if message.msg_type != "status":
        return False
    return msgspec.json.decode(message.content, type=_Status).execution_state == "idle"
