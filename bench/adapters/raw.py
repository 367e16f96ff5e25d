"""Raw 0MQ: one kernel over ipc and a blocking pyzmq client, nothing between them."""

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq

from bench import processes
from bench.adapters.first_session import FirstSession
from bench.protocol import BenchFailed, Hear, Processes
from kernel_bridge.wire import Codec, Message

KEY = "bench"
PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
ANSWER_S = 30.0
START_S = 60.0
QUIET_S = 3.0
"""silence after which the rest of a stream is taken for lost: iopub may drop messages, idle too"""
RECONNECT_MS = 10

MODULE = ("ipykernel_launcher",)
STOCK = (sys.executable, "-m", *MODULE)


def launched(launcher: Path) -> tuple[str, ...]:
    """The command of a kernel under kernelwire's launcher."""
    return (sys.executable, str(launcher), *MODULE)


class _Status(msgspec.Struct):
    execution_state: str = ""


class _Stream(msgspec.Struct):
    name: str = ""
    text: str = ""


class _Data(msgspec.Struct):
    data: dict[str, Any]
    found: bool = True


class _Matches(msgspec.Struct):
    matches: list[str]


class RawKernel:
    """A kernel started by `command`, without kernelwire's service. All requests go over the shell channel.

    Messages are made and read by kernelwire's own codec, signatures included: it is the cheapest that the project has,
    so what the comparison shows is the way and not the client. Sockets keep libzmq's high-water marks.
    """

    def __init__(self, name: str, about: str, command: Sequence[str], directory: Path) -> None:
        self.name = name
        self.about = about
        self._command = command
        self._directory = directory
        self._codec = Codec(KEY.encode(), "bench")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = ""

    def start(self) -> None:
        self._directory.mkdir()
        connection = self._directory / "connection.json"
        ports = {f"{name}_port": port for name, port in PORTS.items()}
        facts = {"transport": "ipc", "ip": str(self._directory / "k"), "key": KEY, "signature_scheme": "hmac-sha256"}
        connection.write_text(json.dumps({**facts, **ports}))
        self._shell = self._connect("shell", zmq.DEALER)
        self._iopub = self._connect("iopub", zmq.SUB)
        self._iopub.subscribe(b"")
        self._process = processes.spawn(
            [*self._command, "-f", str(connection)],
            self._directory,
            processes.environment(self._directory),
            stdout=subprocess.DEVNULL,
        )
        self._wait_ready()

    def evaluate(self, code: str) -> str:
        msg_id = self._execute(code)
        self._reply(msg_id)
        text = ""
        for message in self._outputs(msg_id):
            if message.msg_type == "execute_result":
                text = str(msgspec.json.decode(message.content, type=_Data).data.get("text/plain", ""))
        return text

    def inspect(self, code: str) -> str:
        reply = self._ask("inspect_request", {"code": code, "cursor_pos": len(code), "detail_level": 0})
        return str(msgspec.json.decode(reply.content, type=_Data).data.get("text/plain", ""))

    def complete(self, code: str) -> list[str]:
        reply = self._ask("complete_request", {"code": code, "cursor_pos": len(code)})
        return msgspec.json.decode(reply.content, type=_Matches).matches

    def stream(self, code: str, hear: Hear | None = None) -> list[str]:
        msg_id = self._execute(code)
        texts: list[str] = []
        # without its idle a stream ends by silence: messages were dropped, and what came is what is counted
        with _patience(self._iopub, QUIET_S), contextlib.suppress(BenchFailed):
            for message in self._outputs(msg_id):
                if message.msg_type in ("stream", "display_data"):
                    texts.append(_text(message))
                    if hear is not None:
                        hear(texts[-1])
        self._reply(msg_id)
        return texts

    def begin(self, code: str) -> None:
        self._begun = self._execute(code)
        for message in self._outputs(self._begun):
            if message.msg_type == "stream":
                return
        raise BenchFailed(f"{self.name}: the cell ended without output")

    def finish(self) -> None:
        for _ in self._outputs(self._begun):
            pass

    def kernel(self) -> tuple[int, ...]:
        assert self._process is not None
        return (self._process.pid,)

    def processes(self) -> Processes:
        assert self._process is not None
        return Processes((), self._process.pid)

    def close(self) -> None:
        if self._process is not None:
            processes.end(self._process, 0)  # a kernel has nothing to save
            self._process = None
        self._context.destroy(linger=0)

    def _connect(self, channel: str, kind: int) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.rcvtimeo = round(ANSWER_S * 1000)
        socket.reconnect_ivl = RECONNECT_MS  # the kernel binds after we connect
        try:
            socket.connect(f"ipc://{self._directory / 'k'}-{PORTS[channel]}")
        except zmq.ZMQError as error:
            raise BenchFailed(f"{self.name}: no socket in {self._directory}: {error}") from None
        return socket

    def _wait_ready(self) -> None:
        """Return when shell answers and iopub, which may connect later and has no memory, is live."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            msg_id = self._send("kernel_info_request", {})
            while not self._shell.poll(200):
                if self._process is None or self._process.poll() is not None or time.monotonic() > until:
                    raise BenchFailed(f"{self.name}: the kernel did not start: {self._last_words()}")
            self._reply(msg_id)
            if self._idle_arrives(msg_id):
                return
        raise BenchFailed(f"{self.name}: iopub says nothing")

    def _idle_arrives(self, msg_id: str) -> bool:
        try:
            with _patience(self._iopub, 1.0):
                for _ in self._outputs(msg_id):
                    pass
        except BenchFailed:
            return False
        return True

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

    def _ask(self, msg_type: str, content: dict[str, Any]) -> Message:
        return self._reply(self._send(msg_type, content))

    def _send(self, msg_type: str, content: dict[str, Any]) -> str:
        msg_id, frames = self._codec.encode(msg_type, content)
        self._shell.send_multipart(frames)
        return msg_id

    def _reply(self, msg_id: str) -> Message:
        while True:
            message = self._receive(self._shell)
            if message.parent_id == msg_id:
                return message

    def _outputs(self, msg_id: str) -> Iterator[Message]:
        """What iopub says about a request, up to its idle."""
        while True:
            message = self._receive(self._iopub)
            if message.parent_id != msg_id:
                continue
            if message.msg_type == "status":
                if msgspec.json.decode(message.content, type=_Status).execution_state == "idle":
                    return
                continue
            yield message

    def _receive(self, socket: "zmq.Socket[bytes]") -> Message:
        try:
            frames = socket.recv_multipart()
        except zmq.Again:
            raise BenchFailed(f"{self.name}: no message in {socket.getsockopt(zmq.RCVTIMEO)} ms") from None
        return self._codec.decode(frames)

    def _last_words(self) -> str:
        return (self._directory / "stderr").read_text(errors="replace")[-2000:].strip()


class RawSystem(FirstSession):
    """Kernels started by `command`, each with a client of its own."""

    def __init__(self, name: str, about: str, command: Sequence[str], directory: Path) -> None:
        super().__init__()
        self.name = name
        self.about = about
        self._command = command
        self._directory = directory
        self._numbers = itertools.count()

    def start(self) -> None:
        self._directory.mkdir()

    def open(self) -> RawKernel:
        kernel = RawKernel(self.name, self.about, self._command, self._directory / str(next(self._numbers)))
        self._remember(kernel)
        kernel.start()
        return kernel

    def close(self) -> None:
        self._close_sessions()


def _text(message: Message) -> str:
    """Of a stream, or of a display what a terminal would show."""
    if message.msg_type == "stream":
        return msgspec.json.decode(message.content, type=_Stream).text
    return str(msgspec.json.decode(message.content, type=_Data).data.get("text/plain", ""))


@contextlib.contextmanager
def _patience(socket: "zmq.Socket[bytes]", timeout_s: float) -> Generator[None]:
    """Another bound than ANSWER_S for each receive within the block."""
    socket.rcvtimeo = round(timeout_s * 1000)
    try:
        yield
    finally:
        socket.rcvtimeo = round(ANSWER_S * 1000)
