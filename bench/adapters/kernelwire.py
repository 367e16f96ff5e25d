"""kernelwire: the real service, started by `kernelwire serve`, over HTTP."""

import re
import secrets
import selectors
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench import processes
from bench.adapters.jsonrpc_client import JsonRpcClient
from bench.protocol import BenchFailed, Processes
from kernel_bridge.results import Cell, Completion, Inspection

START_S = 60.0
STOP_S = 45.0
ANSWER_S = 60.0
WAIT_S = 30.0
STREAM_S = 120.0
START_LINE = re.compile(r"kernelwire \S+ on http://([0-9.]+):(\d+)\n")
ROLES = ("_front", "_host")
"""the supervisor's children, by their command"""


class _StreamContent(msgspec.Struct):
    name: str
    text: str


class _Event(msgspec.Struct):
    type: str
    content: msgspec.Raw


class _Page(msgspec.Struct):
    events: list[_Event]
    cursor: int
    done: bool | None


class Kernelwire:
    """One `kernelwire serve` on a state directory of its own: a front, a host, one session, its kernel."""

    name = "kernelwire"
    about = "kernelwire serve over HTTP; blocking http.client, kept alive, TCP_NODELAY; introspection on a subshell"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._client: JsonRpcClient | None = None
        self._processes: Processes | None = None

    def start(self) -> None:
        self._directory.mkdir()
        runtime, state = self._directory / "run", self._directory / "state"
        runtime.mkdir(mode=0o700)  # sockets go with our directory, whatever happens to the service
        env = processes.environment(self._directory) | {"XDG_RUNTIME_DIR": str(runtime)}
        argv = [sys.executable, "-P", "-m", "kernelwire", "serve", "--port", "0", "--state-dir", str(state)]
        self._process = processes.spawn(argv, self._directory, env, stdout=subprocess.PIPE)
        host, port = self._address(self._process)
        self._client = JsonRpcClient(host, port, ANSWER_S)
        self._client.log_in("admin", (state / "admin-password").read_text().strip())
        self._processes = Processes(
            tuple(pid for pid in processes.children(self._process.pid) if self._is_server(pid)),
            int(self.evaluate("__import__('os').getpid()")),
        )
        if len(self._processes.server) != len(ROLES):
            raise BenchFailed(f"{self.name}: expected a front and a host, found processes {self._processes.server}")

    def evaluate(self, code: str) -> str:
        cell = self._rpc.call("evaluate", {"code": code, "wait": WAIT_S}, Cell)
        if cell.end != "ok":
            raise BenchFailed(f"{self.name}: the cell ended {cell.end or cell.state}: {cell.text}")
        return cell.text.strip()

    def inspect(self, code: str) -> str:
        return self._rpc.call("inspect", {"code": code}, Inspection).text

    def complete(self, code: str) -> list[str]:
        return [match.text for match in self._rpc.call("complete", {"code": code}, Completion).matches]

    def stream(self, code: str) -> list[str]:
        cell_id = secrets.token_hex(8)
        cell = self._rpc.call("evaluate", {"code": code, "cell": cell_id, "wait": 0}, Cell)
        texts: list[str] = []
        cursor, until = cell.cursor, time.monotonic() + STREAM_S
        while time.monotonic() < until:
            params = {"cursor": cursor, "cell": cell_id, "wait": 25, "limit": 10_000}
            page = self._rpc.call("poll_output", params, _Page)
            cursor = page.cursor
            for event in page.events:
                if event.type == "stream":
                    texts.append(msgspec.json.decode(event.content, type=_StreamContent).text)
            if page.done:
                return texts
        raise BenchFailed(f"{self.name}: the stream did not end within {STREAM_S:g} s")

    def processes(self) -> Processes:
        assert self._processes is not None
        return self._processes

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            processes.end(self._process, STOP_S)
            self._process = None

    @property
    def _rpc(self) -> JsonRpcClient:
        assert self._client is not None
        return self._client

    def _address(self, process: subprocess.Popen[bytes]) -> tuple[str, int]:
        """Host and port from the line that the service prints when it answers; the few lines after it stay unread."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline().decode() if selector.select(START_S) else ""
        found = START_LINE.fullmatch(line)
        if found is None:
            words = (self._directory / "stderr").read_text(errors="replace")[-2000:].strip()
            raise BenchFailed(f"{self.name}: the service did not start: {line}{words}")
        return found[1], int(found[2])

    @staticmethod
    def _is_server(pid: int) -> bool:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return any(role in command for role in ROLES)
