"""One session of kernelwire over HTTP."""

import contextlib
import secrets
import time
from pathlib import Path
from typing import Any

import msgspec

from bench import processes
from bench.adapters.jsonrpc_client import CallFailed, JsonRpcClient
from bench.protocol import BenchFailed, Hear
from kernel_bridge.kernel_record import read_record
from kernel_bridge.results import Cell, Completion, Inspection

WAIT_S = 30.0
STREAM_S = 120.0
AWAY = {-32040, -32041}
"""ShuttingDown, HostUnavailable: what a client waits out"""
RETRY_S = 0.2
PAGE = {"wait": 25, "limit": 10_000, "max_bytes": 8 << 20}


class _StreamContent(msgspec.Struct):
    name: str
    text: str


class _DisplayContent(msgspec.Struct):
    data: dict[str, Any]


class _Event(msgspec.Struct):
    type: str
    content: msgspec.Raw


class _Page(msgspec.Struct):
    events: list[_Event]
    cursor: int
    done: bool | None


class KernelwireSession:
    """`session` by name; `client` is its own, and closed with it."""

    def __init__(self, client: JsonRpcClient, session: str, state_dir: Path) -> None:
        self.id = session
        self.client = client
        self._state_dir = state_dir
        self._begun: tuple[str, str] | None = None
        self._closed = False

    def evaluate(self, code: str) -> str:
        return self._text(self._call("evaluate", {"code": code, "wait": WAIT_S}, Cell))

    def inspect(self, code: str) -> str:
        return self._call("inspect", {"code": code}, Inspection).text

    def complete(self, code: str) -> list[str]:
        return [match.text for match in self._call("complete", {"code": code}, Completion).matches]

    def stream(self, code: str, hear: Hear | None = None) -> list[str]:
        cell, cursor = self._queue(code)
        texts: list[str] = []
        until = time.monotonic() + STREAM_S
        while time.monotonic() < until:
            page = self._poll(cell, cursor)
            if page is None:
                time.sleep(RETRY_S)
                continue
            cursor = page.cursor
            for event in page.events:
                if event.type in ("stream", "display_data"):
                    texts.append(_text(event))
                    if hear is not None:
                        hear(texts[-1])
            if page.done:
                return texts
        raise BenchFailed(f"kernelwire: the stream did not end within {STREAM_S:g} s")

    def begin(self, code: str) -> None:
        cell, cursor = self._queue(code)
        self._begun = cell, code
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            page = self._poll(cell, cursor)
            if page is not None:
                cursor = page.cursor
                if any(event.type == "stream" for event in page.events):
                    return
        raise BenchFailed("kernelwire: the cell gave no output")

    def finish(self) -> None:
        assert self._begun is not None
        cell, code = self._begun
        self._text(self._call("evaluate", {"code": code, "cell": cell, "wait": WAIT_S}, Cell))

    def kernel(self) -> tuple[int, ...]:
        for directory in (self._state_dir / "kernels").iterdir():
            record = read_record(directory)
            if record is not None and record.session == self.id:
                return record.pid, record.shim_pid, *processes.between(record.pid, record.shim_pid)
        raise BenchFailed(f"kernelwire: no kernel of session {self.id[:17]}")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with contextlib.suppress(BenchFailed):  # the service ends it, if it is still there
                self._call("close_session", {"delete": True}, msgspec.Raw)
        self.client.close()

    def _queue(self, code: str) -> tuple[str, int]:
        """Start a cell. Its id, and a cursor before its output."""
        cell = secrets.token_hex(8)
        return cell, self._call("evaluate", {"code": code, "cell": cell, "wait": 0}, Cell).cursor

    def _poll(self, cell: str, cursor: int) -> _Page | None:
        """None: the host is away for a moment."""
        try:
            return self._call("poll_output", {"cursor": cursor, "cell": cell, **PAGE}, _Page)
        except CallFailed as error:
            if error.code not in AWAY:
                raise
            return None

    def _call(self, method: str, params: dict[str, Any], result: type[Any]) -> Any:
        return self.client.call(method, {**params, "session": self.id}, result)

    @staticmethod
    def _text(cell: Cell) -> str:
        if cell.end != "ok":
            raise BenchFailed(f"kernelwire: the cell ended {cell.end or cell.state}: {cell.text}")
        # of a long session IPython warns once, on stderr, that its output cache is full
        last = cell.outputs[-1] if cell.outputs else {}
        result = last["data"].get("text/plain") if last.get("output_type") == "execute_result" else None
        return (result if isinstance(result, str) else cell.text).strip()


def _text(event: _Event) -> str:
    """Of a stream, or of a display what a terminal would show."""
    if event.type == "stream":
        return msgspec.json.decode(event.content, type=_StreamContent).text
    return str(msgspec.json.decode(event.content, type=_DisplayContent).data.get("text/plain", ""))
