"""A bare client for one kernel process: plain pyzmq, with jupyter_client's Session as the codec."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import zmq
from jupyter_client.session import Session

Message = dict[str, Any]
LAUNCHER = Path(__file__).parents[2] / "kernel_bridge" / "launcher.py"
PLAIN = [sys.executable, "-m"]
LAUNCHED = [sys.executable, str(LAUNCHER)]
CHANNELS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
DEADLINE_S = 15.0


class KernelClient:
    """A kernel in a directory of its own (0700, short) and sockets to it. `close` ends both.

    The sockets keep libzmq's high-water marks: with RCVHWM=0 here nothing would ever pile up in the kernel.
    """

    def __init__(
        self,
        directory: Path,
        argv: list[str],
        module: str = "ipykernel_launcher",
        options: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        connection = directory / "c.json"
        ports = {f"{name}_port": port for name, port in CHANNELS.items()}
        key = {"key": "k", "signature_scheme": "hmac-sha256"}
        connection.write_text(json.dumps({"transport": "ipc", "ip": str(directory / "k"), **ports, **key}))
        self.session: Any = Session(key=b"k", signature_scheme="hmac-sha256")
        self.context = zmq.Context()
        self.sockets: dict[str, zmq.Socket[bytes]] = {}
        for name, kind in (("iopub", zmq.SUB), ("shell", zmq.DEALER), ("control", zmq.DEALER), ("stdin", zmq.DEALER)):
            socket = self.sockets[name] = self.context.socket(kind)
            socket.linger = 0
            socket.reconnect_ivl = 10  # the kernel binds after we connect
            if name == "iopub":
                socket.subscribe(b"")
            else:
                socket.identity = b"kernelwire-test"
            if name == "stdin":  # an input_request to an identity that is not connected yet is lost
                self.stdin_ready = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            socket.connect(f"ipc://{directory / 'k'}-{CHANNELS[name]}")
        clean = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        clean |= {"IPYTHONDIR": str(directory / "ipython"), **(env or {})}
        self.stderr = directory / "stderr"
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*argv, module, "-f", str(connection), *options], cwd=directory, env=clean, stderr=stderr
            )

    def __enter__(self) -> Self:
        try:
            self.info = self.ask("kernel_info_request")["content"]
            while not self.iopub_is_live():
                pass
            assert self.stdin_ready.poll(round(DEADLINE_S * 1000))
            return self
        except BaseException:
            self.close()
            raise

    def iopub_is_live(self) -> bool:
        """Whether a request's idle arrives: iopub may have reconnected later than shell, and has no memory."""
        msg_id = self.send("kernel_info_request")
        self.reply(msg_id)
        try:
            self.outputs(msg_id, timeout_s=1.0)
        except TimeoutError:
            assert self.process.poll() is None
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.sockets["stdin"].disable_monitor()
        self.context.destroy(linger=0)

    def send(self, msg_type: str, content: Message | None = None, channel: str = "shell", **header: Any) -> str:
        """Send a request; its msg_id comes back. `header`: members to add, such as subshell_id."""
        message = self.session.msg(msg_type, content or {})
        message["header"].update(header)
        self.session.send(self.sockets[channel], message)
        return message["header"]["msg_id"]

    def receive(self, channel: str, timeout_s: float = DEADLINE_S) -> Message:
        if not self.sockets[channel].poll(round(timeout_s * 1000)):
            raise TimeoutError(f"nothing on {channel}; stderr: {self.stderr.read_text()[-2000:]}")
        _, message = self.session.recv(self.sockets[channel], mode=0)
        assert message is not None
        return message

    def until(self, channel: str, wanted: Callable[[Message], bool], timeout_s: float = DEADLINE_S) -> list[Message]:
        """All messages up to the first wanted one, which is the last of the list."""
        end = time.monotonic() + timeout_s
        messages: list[Message] = []
        while not messages or not wanted(messages[-1]):
            messages.append(self.receive(channel, max(0.0, end - time.monotonic())))
        return messages

    def reply(self, msg_id: str, channel: str = "shell") -> Message:
        return self.until(channel, lambda message: message["parent_header"].get("msg_id") == msg_id)[-1]

    def ask(self, msg_type: str, content: Message | None = None, channel: str = "shell", **header: Any) -> Message:
        return self.reply(self.send(msg_type, content, channel, **header), channel)

    def start(self, code: str, **content: Any) -> str:
        request: Message = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
        }
        return self.send("execute_request", {**request, **content})

    def outputs(self, msg_id: str, timeout_s: float = DEADLINE_S) -> list[Message]:
        """The iopub messages of a request, up to and without its idle."""

        def idle(message: Message) -> bool:
            same = message["parent_header"].get("msg_id") == msg_id
            return same and message["content"].get("execution_state") == "idle"

        messages = self.until("iopub", idle, timeout_s)[:-1]
        return [message for message in messages if message["parent_header"].get("msg_id") == msg_id]

    def run(self, code: str, **content: Any) -> Message:
        """Run a cell to its end; the content of its reply, with `text`: what it printed and its result."""
        msg_id = self.start(code, **content)
        text = ""
        for message in self.outputs(msg_id):
            text += message["content"].get("text", "")
            if message["msg_type"] == "execute_result":
                text += message["content"]["data"]["text/plain"]
        return {**self.reply(msg_id)["content"], "text": text}

    def wait_for(self, msg_type: str) -> Message:
        return self.until("iopub", lambda message: message["msg_type"] == msg_type)[-1]

    def sync(self) -> Message:
        reply = self.ask("kernelwire_sync", channel="control")
        assert reply["msg_type"] == "kernelwire_sync_reply"
        return reply["content"]

    def subshell(self) -> str:
        return self.ask("create_subshell_request", channel="control")["content"]["subshell_id"]

    def complete(self, code: str, cursor_pos: int | None = None, **header: Any) -> Message:
        position = len(code) if cursor_pos is None else cursor_pos
        return self.ask("complete_request", {"code": code, "cursor_pos": position}, **header)["content"]

    def inspect(self, code: str, detail_level: int = 0, **header: Any) -> Message:
        content = {"code": code, "cursor_pos": len(code), "detail_level": detail_level}
        return self.ask("inspect_request", content, **header)["content"]
