"""A call on a connection that the test may cut at any moment."""

import json
import socket
import struct
from typing import Any

from tests.e2e.client import Client


def send(client: Client, method: str, params: dict[str, Any]) -> socket.socket:
    """The connection; nobody reads the answer. `reset` or close it."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    connection = socket.create_connection(("127.0.0.1", client.service.port), timeout=10)
    connection.sendall(
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (client.token.encode(), len(body), body)
    )
    return connection


def reset(connection: socket.socket) -> None:
    """RST, as from a client that lost its power or its way. Source: socket(7), SO_LINGER."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
