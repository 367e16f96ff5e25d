"""A kernel that only speaks the protocol: it echoes code, and does oddly what the code names. Run by path.

It answers kernel_info, execute, interrupt and shutdown requests and nothing else, one at a time, and has never heard of
completion. Source: Jupyter messaging protocol 5.3.
"""

import hashlib
import hmac
import json
import os
import sys
import uuid
from typing import Any

import zmq

CODES = ("idle-first", "no-idle", "no-reply", "wait", "ask", "forged", "die")
Parts = list[bytes]


class EchoKernel:
    """One kernel on the sockets of a connection file."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self.key = connection["key"].encode()
        self.count = 0
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.iopub = self.bind(connection, "iopub", zmq.PUB)
        self.shell, self.control, self.stdin = (
            self.bind(connection, name, zmq.ROUTER) for name in ("shell", "control", "stdin")
        )

    def bind(self, connection: dict[str, Any], name: str, kind: int) -> "zmq.Socket[bytes]":
        socket = self.context.socket(kind)
        separator = "-" if connection["transport"] == "ipc" else ":"
        socket.bind(f"{connection['transport']}://{connection['ip']}{separator}{connection[f'{name}_port']}")
        return socket

    def sign(self, parts: Parts) -> bytes:
        return hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()

    def send(
        self,
        socket: "zmq.Socket[bytes]",
        route: Parts,
        msg_type: str,
        parent: Any,
        content: Any,
        *,
        signed: bool = True,
    ) -> None:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": "echo", "username": "", "version": "5.3"}
        parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        signature = self.sign(parts) if signed else b"0" * 64
        socket.send_multipart([*route, b"<IDS|MSG>", signature, *parts])

    def receive(self, socket: "zmq.Socket[bytes]") -> tuple[Parts, Any, Any]:
        """Who sent it, its header and its content."""
        frames = socket.recv_multipart()
        at = frames.index(b"<IDS|MSG>")
        assert hmac.compare_digest(self.sign(frames[at + 2 : at + 6]), frames[at + 1])
        return frames[:at], json.loads(frames[at + 2]), json.loads(frames[at + 5])

    def say(self, parent: Any, msg_type: str, content: Any) -> None:
        self.send(self.iopub, [msg_type.encode()], msg_type, parent, content)

    def status(self, parent: Any, state: str) -> None:
        self.say(parent, "status", {"execution_state": state})

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.shell, zmq.POLLIN)
        poller.register(self.control, zmq.POLLIN)
        while True:
            for socket, _ in poller.poll():
                route, header, content = self.receive(socket)  # pyright: ignore[reportArgumentType]
                match header["msg_type"]:
                    case "kernel_info_request":
                        self.status(header, "busy")
                        self.send(self.shell, route, "kernel_info_reply", header, {"status": "ok"})
                        self.status(header, "idle")
                    case "execute_request":
                        self.execute(route, header, content)
                    case "interrupt_request":
                        self.send(self.control, route, "interrupt_reply", header, {"status": "ok"})
                    case "shutdown_request":
                        self.send(self.control, route, "shutdown_reply", header, {"status": "ok", **content})
                        self.context.destroy(linger=1000)
                        return
                    case _:
                        pass

    def execute(self, route: Parts, header: Any, content: Any) -> None:
        code = content["code"]
        self.count += 1
        self.status(header, "busy")
        self.say(header, "stream", {"name": "stdout", "text": f"{self.text(code, route, header)}\n"})
        if code == "idle-first":
            self.status(header, "idle")
        reply: dict[str, Any] = {"status": "ok", "execution_count": self.count}
        if code == "wait":
            reply = {"status": "error", "ename": "Interrupted", "evalue": "", "traceback": []}
        if code != "no-reply":
            self.send(self.shell, route, "execute_reply", header, reply)
        if code not in ("no-idle", "idle-first"):
            self.status(header, "idle")

    def text(self, code: str, route: Parts, header: Any) -> str:
        """What the code comes to."""
        if code == "die":
            os._exit(7)
        if code == "forged":
            self.iopub.send_multipart([b"no message at all"])
            self.send(self.iopub, [b"stream"], "stream", header, {"name": "stdout", "text": "forged"}, signed=False)
            self.send(self.shell, route, "execute_reply", header, {"status": "error"}, signed=False)
        if code == "ask":
            self.send(self.stdin, route, "input_request", header, {"prompt": "? ", "password": False})
            return str(self.receive(self.stdin)[2]["value"])
        if code == "wait":
            self.say(header, "stream", {"name": "stdout", "text": "waiting\n"})
            asker, asked, _ = self.receive(self.control)
            self.send(self.control, asker, "interrupt_reply", asked, {"status": "ok"})
        return code


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        EchoKernel(json.load(file)).run()
