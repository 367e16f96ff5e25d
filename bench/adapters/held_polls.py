"""Many `poll_output` calls that wait, each on a connection of its own, held by plain sockets."""

import selectors
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from bench.protocol import BenchFailed

CONNECT_S = 10.0
BATCH = 100
"""connections opened before the front is given time to take them from its queue"""
PAUSE_S = 0.02


class HeldPolls:
    """`close` cuts every connection."""

    def __init__(self, url: str, token: str, wait_s: int) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        self._address = address.hostname, address.port
        self._head = (
            f"POST /rpc HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._wait_s = wait_s
        self._sockets: list[socket.socket] = []

    def add(self, sessions: Sequence[str]) -> None:
        """One poll for each of these sessions, at the end of what its log holds now. Raises BenchFailed."""
        for number, session in enumerate(sessions, start=1):
            params = {"session": session, "cursor": 0, "wait": self._wait_s}
            body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "poll_output", "params": params})
            try:
                connection = socket.create_connection(self._address, timeout=CONNECT_S)
                self._sockets.append(connection)
                connection.sendall(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            except OSError as error:
                raise BenchFailed(f"poll {len(self._sockets)}: {error}") from None
            if number % BATCH == 0:
                time.sleep(PAUSE_S)

    def answered(self, wanted: int, timeout_s: float) -> int:
        """How many have an answer, or are cut; returns when there are `wanted` or at the timeout."""
        until = time.monotonic() + timeout_s
        found: set[int] = set()
        with selectors.DefaultSelector() as selector:
            for connection in self._sockets:
                selector.register(connection, selectors.EVENT_READ)
            while len(found) < wanted and (left_s := until - time.monotonic()) > 0:
                for key, _ in selector.select(left_s):
                    found.add(key.fd)
                    selector.unregister(key.fileobj)
        return len(found)

    def close(self) -> None:
        for connection in self._sockets:
            connection.close()
        self._sockets.clear()
