"""The door of real processes: pages, names and proxies that the settings name, and no token in any log."""

import json
import signal
import socket

import aiohttp

from tests.e2e.client import Client
from tests.e2e.conftest import Starter

PAGE = "https://notes.example.org"
SETTINGS = {
    "KERNELWIRE_RPC__CORS_ORIGINS": json.dumps([PAGE]),
    "KERNELWIRE_RPC__ALLOWED_HOSTS": json.dumps(["kernels.example.org"]),
}
WHOAMI = {"jsonrpc": "2.0", "id": 1, "method": "whoami"}


async def test_listed_pages_and_names(start: Starter, http: aiohttp.ClientSession) -> None:
    service = start(extra=SETTINGS, arguments=["--behind-proxy"])
    client = await Client(http, service).log_in()
    assert (await client.post(WHOAMI, Origin=PAGE)).headers["Access-Control-Allow-Origin"] == PAGE
    assert (await client.post(WHOAMI, Origin=f"{PAGE}.evil.com")).status == 403
    assert (await client.post(WHOAMI, Host="evil.example")).status == 421
    assert (await client.post(WHOAMI, Host="kernels.example.org")).status == 200
    proxied = {"X_Forwarded_Host": "kernels.example.org", "X_Forwarded_Proto": "https"}
    answer = await client.post(WHOAMI, Origin="https://kernels.example.org", **proxied)
    assert (answer.status, answer.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
    service.stop()


async def test_tokens_in_the_wrong_places_reach_no_log(start: Starter, http: aiohttp.ClientSession) -> None:
    """In the URL, a referer, a cookie, an over-long header: none lets anybody in, and none is written down."""
    service = start()
    service.process.send_signal(signal.SIGHUP)  # there is no terminal, and nothing to read anew: it goes on
    client = await Client(http, service).log_in()
    token = client.token
    stranger = Client(http, service)
    for headers in ({"Referer": f"{service.url}/?token={token}"}, {"Cookie": f"token={token}"}, {"X_Token": token}):
        assert (await stranger.post(WHOAMI, **headers)).failure().code == -32002
    async with http.post(f"{service.url}/rpc?token={token}", json=WHOAMI) as answer:
        assert (await answer.json())["error"]["code"] == -32002
    async with http.get(f"{service.url}/{token}") as answer:
        assert answer.status == 404
        assert token not in await answer.text()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: {token * 200}\r\n\r\n".encode())
        assert b" 431 " in connection.recv(4096)
    service.stop()  # which looks for the token in the log
