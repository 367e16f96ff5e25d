"""The gate in front of every route: origins, preflights, headers, and what a stranger without a token gets."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec import structs
from yarl import URL

from kernel_bridge import hop
from kernel_bridge.errors import HostUnavailable
from rpc.app import create_app
from rpc.methods import REGISTRY
from rpc.routes import ROUTES
from rpc.settings import RpcSettings
from tests.unit.rpc.fakes import TOKEN, Front

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]

GOOD = "https://good.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WHOAMI = {"jsonrpc": "2.0", "method": "whoami", "id": 1}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "notes.example.org", "X-Forwarded-For": "192.0.2.1"}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    clients: list[Client] = []

    async def start(**settings: Any) -> Client:
        front = Front.of(**settings)
        front.bridge.answers[hop.Stats] = HostUnavailable()  # for /metrics
        server = TestServer(create_app(front.services))
        await server.start_server()
        clients.append(TestClient(server))
        return clients[-1]

    yield start
    for client in clients:
        await client.close()


async def status(client: Client, verb: str, path: str, **headers: str) -> int:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(verb, path, json=WHOAMI, headers={**BEARER, **sent}) as response:
        if response.status >= 400:
            body = await response.json()
            assert (body["id"], body["error"]["code"]) == (None, -32600)
        return response.status


# -- origins -----------------------------------------------------------------------------------------------------------

FOREIGN = [
    "null",
    "*",
    "",
    "https://good.example.evil.com",
    "https://evil.com/https://good.example",
    "https://evil-good.example",
    "https://good.example:443",
    "https://good.example:8443",
    "https://good.example/",
    "http://good.example",
    "HTTPS://GOOD.EXAMPLE",
    "https://goodxexample",
    "https://sub.good.example",
    "https://good.example, https://evil.com",
    "https://user@good.example",
    "file://",
]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_pages_that_are_not_listed_may_not_call(serve: Serve, origin: str) -> None:
    client = await serve(cors_origins=(GOOD,))
    for verb, path in (("POST", "/rpc"), ("GET", "/ws"), ("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/none")):
        assert await status(client, verb, path, Origin=origin) == 403, (verb, path)
    async with client.options("/rpc", headers={**PREFLIGHT, "Origin": origin}) as response:
        assert response.status == 403
        assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_a_listed_page_may_call(serve: Serve) -> None:
    client = await serve(cors_origins=(GOOD,))
    async with client.options("/rpc", headers={**PREFLIGHT, "Origin": GOOD}) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == GOOD
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        assert response.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in response.headers
    for headers, expected in ((BEARER, 200), ({"Authorization": "Bearer kw_expired"}, 401)):
        async with client.post("/rpc", json=WHOAMI, headers={**headers, "Origin": GOOD}) as response:
            assert response.status == expected
            assert response.headers["Access-Control-Allow-Origin"] == GOOD
            assert "Access-Control-Allow-Credentials" not in response.headers
    async with client.ws_connect("/ws", origin=GOOD, headers=BEARER) as socket:
        await socket.send_json(WHOAMI)
        assert (await socket.receive_json(timeout=10))["result"]["user"] == "ann"


async def test_it_is_off_by_default(serve: Serve) -> None:
    client = await serve()
    assert await status(client, "POST", "/rpc", Origin=GOOD) == 403
    own = f"http://{client.host}:{client.port}"
    async with client.post("/rpc", json=WHOAMI, headers={**BEARER, "Origin": own}) as response:
        assert response.status == 200
        assert not [name for name in response.headers if name.startswith(("Access-Control", "Vary"))]
    async with client.options("/rpc", headers={**PREFLIGHT, "Origin": own}) as response:
        assert response.status == 405


async def test_another_scheme_or_port_is_another_origin(serve: Serve) -> None:
    client = await serve()
    for origin in (f"https://{client.host}:{client.port}", f"http://{client.host}:1", f"http://{client.host}"):
        assert await status(client, "POST", "/rpc", Origin=origin) == 403


@pytest.mark.parametrize(
    "bad", ["*", "null", "https://*.example", "https://a.example/", "https://A.example", "a.example"]
)
def test_what_cannot_be_listed(bad: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"cors_origins": [bad]}, RpcSettings)


@pytest.mark.parametrize("bad", ["*", ".example", "https://a.example", "a.example:8787", "a b", ""])
def test_which_hosts_cannot_be_allowed(bad: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"allowed_hosts": [bad]}, RpcSettings)


# -- hosts and proxies -------------------------------------------------------------------------------------------------


async def test_a_rebound_name_is_refused_everywhere(serve: Serve) -> None:
    client = await serve()
    for route in ROUTES:
        assert await status(client, route.verb, route.path, Host=f"evil.example:{client.port}") == 421, route.path


async def test_a_proxys_word_counts_only_where_there_is_one(serve: Serve) -> None:
    page = {**PROXIED, "Origin": "https://notes.example.org"}
    client = await serve(allowed_hosts=("notes.example.org",))
    assert await status(client, "POST", "/rpc", **page) == 403
    client = await serve(allowed_hosts=("notes.example.org",), behind_proxy=True)
    assert await status(client, "POST", "/rpc", **page) == 200
    assert await status(client, "POST", "/rpc", **{**page, "X-Forwarded-Host": "evil.example"}) == 421
    client = await serve(behind_proxy=True)
    assert await status(client, "POST", "/rpc", **page) == 421


# -- headers -----------------------------------------------------------------------------------------------------------


async def test_headers_of_every_answer(serve: Serve) -> None:
    client = await serve()
    for verb, path, headers in (
        *((route.verb, route.path, dict[str, str]()) for route in ROUTES),
        ("GET", "/none", {"Accept": "text/html"}),
        ("DELETE", "/rpc", {"Accept": "text/html"}),
        ("GET", "/healthz", {"Host": "evil.example"}),
        ("GET", "/healthz", {"Origin": "null"}),
        ("GET", "/ws", UPGRADE),
    ):
        async with client.request(verb, path, headers=headers) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert "html" not in response.headers.get("Content-Type", "")
            assert "Set-Cookie" not in response.headers
            assert "Location" not in response.headers
            assert not 300 <= response.status < 400
            assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize(
    ("host", "told"), [("notes.example.org", True), ("localhost:1", False), ("127.0.0.1", False), ("[::1]:1", False)]
)
async def test_browsers_are_told_to_stay_with_tls_but_not_on_localhost(serve: Serve, host: str, told: bool) -> None:
    client = await serve(behind_proxy=True, allowed_hosts=("notes.example.org",))
    for scheme in ("http", "https"):
        headers = {"X-Forwarded-Proto": scheme, "X-Forwarded-Host": host}
        async with client.get("/healthz", headers=headers) as response:
            assert response.status == 200
            assert ("Strict-Transport-Security" in response.headers) is (told and scheme == "https")


# -- strangers ---------------------------------------------------------------------------------------------------------

OPEN = {"/healthz", "/readyz", "/openapi.json", "/openrpc.json", "/metrics"}
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
COOKIES = {"Cookie": f"token={TOKEN}; session={TOKEN}; Authorization=Bearer {TOKEN}; _xsrf=x"}


async def test_every_route_and_verb_without_a_token(serve: Serve) -> None:
    """With the token where it does not count: in a cookie, and in the URL."""
    client = await serve()
    for path in {route.path for route in ROUTES} | {"/", "/none"}:
        for verb in VERBS:
            async with client.request(verb, f"{path}?token={TOKEN}", json=WHOAMI, headers=COOKIES) as response:
                body = await response.read()
                assert b"ann" not in body or path.endswith(".json"), (verb, path)
                if response.status == 200 and path != "/rpc":
                    assert path in OPEN, (verb, path)
                elif verb == "POST" and path == "/rpc":
                    assert json.loads(body)["error"]["code"] == -32002
                else:
                    assert response.status in (400, 404, 405, 426), (verb, path)


SAMPLES: tuple[Any, ...] = ("c1", 1, ["read"], {})


def _params(name: str) -> dict[str, Any]:
    """Such that only the token is missing."""
    needed = [field for field in structs.fields(REGISTRY[name].params) if field.required]
    return {field.encode_name: next(one for one in SAMPLES if _fits(one, field.type)) for field in needed}


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("over", ["http", "websocket"])
async def test_every_method_without_a_token(serve: Serve, over: str) -> None:
    client = await serve()
    answers: dict[str, Any] = {}
    calls = {name: {"jsonrpc": "2.0", "method": name, "params": _params(name), "id": 1} for name in REGISTRY}
    if over == "http":
        for name, call in calls.items():
            async with client.post("/rpc", json=call, headers=COOKIES) as response:
                answers[name] = await response.json()
    else:
        async with client.ws_connect("/ws", headers=COOKIES) as socket:
            for name, call in calls.items():
                await socket.send_json(call)
                answers[name] = await socket.receive_json(timeout=10)
    served = {name for name, answer in answers.items() if answer.get("error", {}).get("code") != -32002}
    assert served == {"login", "rpc.discover"}


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/healthz/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/openapi.json/../state/secret",
        "/openapi.json%00.html",
        "//evil.example/%2e%2e",
        "//evil.example",
        "/\\evil.example",
        "/ws/",
        "//ws",
        "/ws;x=1",
        "/rpc/",
        "/static/index.html",
        "/login?next=//evil.example",
    ],
)
async def test_odd_paths_lead_nowhere(serve: Serve, path: str) -> None:
    client = await serve()
    url = URL(f"http://{client.host}:{client.port}{path}", encoded=True)
    async with client.session.get(url, headers={**UPGRADE, "Accept": "text/html"}, allow_redirects=False) as response:
        assert response.status == 404
        assert "Location" not in response.headers
        assert (await response.json())["error"]["code"] == -32600
