"""Classes of advisories that services of this kind have had, each tried here. What it is stands in each docstring.

Most are tried at an application in the test's own process; those about processes, at a real service.
"""

import argparse
import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from msgspec import structs

from auth.authenticator import Authenticator
from auth.bootstrap import ADMIN, bootstrap
from auth.errors import InvalidToken
from auth.secret import load, load_or_create
from auth.users import Users
from kernel_bridge import hop, results
from kernel_bridge.errors import HostUnavailable
from kernel_bridge.kernel_command import Spec, environment
from kernelwire.cli import make_parser
from rpc.app import create_app
from rpc.methods import REGISTRY
from rpc.params import TOKEN as TOKEN_MEMBER
from rpc.routes import ROUTES
from tests.e2e import processes
from tests.e2e.client import Client
from tests.e2e.service import Service
from tests.unit.rpc.fakes import PASSWORD, SESSION, TOKEN, Front, cell
from tests.unit.rpc.test_scopes import TABLE
from tests.unit.rpc.ws import House

Web = TestClient[web.Request, web.Application]
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
OPEN_ROUTES = {"/healthz", "/readyz", "/openapi.json", "/openrpc.json", "/metrics"}
"""which tell nothing of any user; /metrics only to this machine"""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Started in a directory of its own, which a test may fill before; see `hostile`."""
    made = Service.start(tmp_path / "state", home=tmp_path / "home")
    yield made
    made.abandon()


def call(method: str, params: Any = None, **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}, **members}


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    """Class: a secret that comes with the program, or is the same everywhere, signs tokens for all installations."""
    keys = {load_or_create(tmp_path / name).keys for name in ("a", "b", "c")}
    assert len(keys) == 3
    passwords = {bootstrap(tmp_path / name).admin_password for name in ("a", "b", "c")}
    assert len(passwords) == 3
    assert None not in passwords


async def test_a_new_password_ends_tokens_and_keys_can_be_replaced(tmp_path: Path) -> None:
    """Class: unrotated secrets. After a password was changed, or the secret replaced, the old cookies still work."""
    found = bootstrap(tmp_path / "state")
    front = Authenticator.open(tmp_path / "state")
    try:
        user = await front.log_in(ADMIN, found.admin_password or "")
        token, _ = front.issue(user, None, None)
        await asyncio.to_thread(Users(front._database).set_password, ADMIN, "x")  # pyright: ignore[reportPrivateUsage]
        await front.refresh()
        with pytest.raises(InvalidToken):
            front.check(token)
    finally:
        await front.close()
    before = load(tmp_path / "state")
    make_parser().parse_args(["key", "rotate", "--revoke"]).command(
        argparse.Namespace(action="rotate", revoke=True, state_dir=str(tmp_path / "state"), config=None)
    )
    assert set(before.keys).isdisjoint(load(tmp_path / "state").keys)


def test_no_option_takes_a_secret() -> None:
    """Class: passwords, tokens and keys on command lines, which every user of the machine reads in /proc."""

    def options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
        for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
            if type(action).__name__ == "_SubParsersAction":
                parsers: dict[str, argparse.ArgumentParser] = vars(action)["choices"]
                for inner in parsers.values():
                    yield from options(inner)
            else:
                yield action

    telling = ("password", "token", "secret", "key")
    found = [action for action in options(make_parser()) if any(word in action.dest for word in telling)]
    # --password-stdin is a flag, TOKEN_ID and --tls-key name a token and a file
    assert {action.dest for action in found if action.nargs != 0} == {"token_id", "tls_key"}


async def test_no_secret_is_on_a_command_line_or_in_a_kernel_s_environment(
    service: Service, http: aiohttp.ClientSession
) -> None:
    """Class: keys on command lines; a kernel that inherits the service's own environment."""
    client = await Client(http, service).log_in()
    await client.evaluate("1 + 1")
    state = service.state_dir
    connection = json.loads(next(state.glob("kernels/*/connection.json")).read_bytes())
    secrets = {
        *(key.hex() for key in load(state).keys),
        (state / "hop-secret").read_bytes().hex(),
        (state / "hop-secret").read_text(errors="replace").strip(),
        connection["key"],
        client.token,
        service.password,
    }
    running = processes.of_state_dir(state)
    assert len(running) >= 4  # supervisor, front, host and a kernel with its shim
    for process in running:
        words = "\0".join(process.command)
        assert not [secret for secret in secrets if secret and secret in words], process.command
    shown = (await client.evaluate("import os; print('\\n'.join(os.environ))")).text.split()
    assert not [name for name in shown if name.startswith("KERNELWIRE")]
    await asyncio.to_thread(service.stop)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=100)) as session:
        yield session


# -- who gets in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [route.path for route in ROUTES])
async def test_every_route_without_a_token(house: House, route: str) -> None:
    """Class: a route, such as the WebSocket's, that was registered beside the check and so skips authentication."""
    front = Front.of()
    front.bridge.answers[hop.Stats] = HostUnavailable()  # for /metrics
    client = await house.serve(front)
    if route == "/rpc":
        for name, entry in REGISTRY.items():
            if entry.token:
                answer = await (await client.post("/rpc", json=call(name, TABLE[name][2]))).json()
                assert answer["error"]["code"] == -32002, name
    elif route == "/ws":
        socket = await house.connect(client, token=None)
        for name, entry in REGISTRY.items():
            if entry.token:
                answer = await socket.call(name, **TABLE[name][2])
                assert answer["error"]["code"] == -32002, name
    else:
        assert route in OPEN_ROUTES
        async with client.get(route) as response:
            text = await response.text()
        assert response.status in (200, 503)
        assert not [secret for secret in (TOKEN, SESSION) if secret in text]
    assert [asked for asked in front.bridge.asked if not isinstance(asked, hop.Stats)] == []


def test_there_is_no_route_beside_the_table() -> None:
    """Class: as above. The table of the test before is the whole application."""
    found = {resource.canonical for resource in create_app(Front.of().services).router.resources()}
    assert found == {route.path for route in ROUTES}


@pytest.mark.parametrize(
    "origin",
    [
        "https://good.example.evil.com",
        "https://good.example.",
        "https://good.example:443",
        "https://good.examplee",
        "https://xgood.example",
        "https://evil.com/https://good.example",
        "https://evil.com#https://good.example",
        "https://good.example@evil.com",
        "https://evil.com\\.good.example",
        "https://goodxexample",
        "http://good.example",
        "HTTPS://GOOD.EXAMPLE",
        "https://good.example https://evil.com",
        "null",
        "",
        "file://",
        "https://good.example%0aevil.com",
    ],
)
@pytest.mark.parametrize("route", ["/rpc", "/ws", "/healthz"])
async def test_an_origin_that_only_looks_like_a_listed_one(house: House, origin: str, route: str) -> None:
    """Class: unanchored origin patterns (`re.match` without an end, `.` for a dot, a prefix, a suffix)."""
    front = Front.of(cors_origins=("https://good.example",))
    client = await house.serve(front)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    headers = {**AUTHORIZED, "Origin": origin, **(upgrade if route == "/ws" else {})}
    verb = "POST" if route == "/rpc" else "GET"
    async with client.request(verb, route, headers=headers, json=call("whoami") if verb == "POST" else None) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert front.bridge.asked == []


async def test_a_listed_origin_gets_in(house: House) -> None:
    """The control of the test before."""
    client = await house.serve(Front.of(cors_origins=("https://good.example",)))
    headers = {**AUTHORIZED, "Origin": "https://good.example"}
    async with client.post("/rpc", json=call("whoami"), headers=headers) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://good.example")
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_of_another_page_can_send(house: House, content_type: str) -> None:
    """Class: CSRF. A page makes the browser post a body that is JSON in a form's clothes; a cookie must not help it."""
    front = Front.of()
    client = await house.serve(front)
    body = json.dumps(call("evaluate", {"code": "1"}))
    headers = {"Content-Type": content_type, "Cookie": f"token={TOKEN}; Authorization=Bearer {TOKEN}"}
    async with client.post("/rpc", data=body, headers=headers) as answer:
        assert answer.status == 415
    async with client.post("/rpc", json=call("whoami"), headers={"Cookie": headers["Cookie"]}) as answer:
        assert (await answer.json())["error"]["data"] == {"reason": "missing"}
        assert "Set-Cookie" not in answer.headers
    assert front.bridge.asked == []


# -- paths -------------------------------------------------------------------------------------------------------------

UP = (
    "/../secret",
    "/..%2fsecret",
    "/%2e%2e/secret",
    "/healthz/../../secret",
    "/openapi.json/../secret",
    "/rpc/../../../../etc/passwd",
    "/openapi.json.bak",
    "/openapi.jsonsecret",
    "/openrpc.json/",
    "/static/../secret",
    "/.git/config",
    "/secret",
    "//etc/passwd",
)


@pytest.mark.parametrize("path", UP)
async def test_paths_lead_to_no_file(house: House, path: str) -> None:
    """Class: path traversal, also by prefix: `/public` that lets `/public-not` and `/public/..` through."""
    client = await house.serve(Front.of())
    assert client.port is not None
    # by hand: a client's library would tidy the path up
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.split(b" ")[1] in (b"404", b"400"), answer
    assert b"root:" not in answer


@pytest.mark.parametrize("name", ["..", "../..", "../other", "/etc", "abcd1234.own/../x", "abcd1234.own-evil", "a\0b"])
async def test_ids_are_no_paths(service: Service, http: aiohttp.ClientSession, name: str) -> None:
    """Class: path traversal. Ids of sessions, cells and kernelspecs are looked up, never joined to a directory."""
    client = await Client(http, service).log_in()
    before = sorted(path.name for path in service.state_dir.parent.iterdir())
    for method in ("session_info", "poll_output", "close_session", "open_session"):
        more = {"delete": True} if method == "close_session" else {}
        await client.fails(-32010, method, session=name, **more)
    await client.fails(-32010, "session_info", session=f"{client.session}/{name}")
    await client.fails(-32602, "evaluate", code="1", cell=name)
    await client.fails(-32012, "open_session", kernel=name)
    assert sorted(path.name for path in service.state_dir.parent.iterdir()) == before
    assert (service.state_dir / "secret").exists()
    await asyncio.to_thread(service.stop)


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "/rpc/", "/healthz/", "/?next=//evil.example", "/login?next=https://e"],
)
async def test_nothing_redirects(house: House, path: str) -> None:
    """Class: open redirects, from `next=` and from the tidying of slashes."""
    client = await house.serve(Front.of())
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    assert head.split(b" ")[1] == b"404"
    assert b"location:" not in head.lower()
    assert b"evil" not in head + body


# -- what comes out ----------------------------------------------------------------------------------------------------

SCRIPT = "<script>fetch('/rpc')</script>"


async def test_html_of_a_cell_is_no_page(house: House) -> None:
    """Class: HTML output under the API's origin: a notebook's output, opened as a page, calls the API as its reader."""
    front = Front.of()
    html = [{"output_type": "display_data", "data": {"text/html": SCRIPT}, "metadata": {}}]
    front.bridge.answers[hop.GetCell] = cell(outputs=html, text=SCRIPT)
    front.bridge.answers[hop.PollOutput] = results.Page([], 0, 0, "idle", None)
    client = await house.serve(front)
    async with client.post("/rpc", json=call("get_cell", {"cell": "c1"}), headers=AUTHORIZED) as answer:
        assert SCRIPT in await answer.text()
        _is_no_page(answer)
    for path in (*(route.path for route in ROUTES), f"/{SCRIPT}", f"/rpc/{SCRIPT}"):
        async with client.get(path) as answer:
            _is_no_page(answer)
            assert SCRIPT not in await answer.text()


def _is_no_page(answer: aiohttp.ClientResponse) -> None:
    assert answer.content_type in ("application/json", "text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_tokens_are_in_no_url_referer_or_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Class: tokens in URLs, and so in referers, histories and access logs."""
    caplog.set_level(logging.DEBUG)
    front = Front.of()
    client = await house.serve(front)
    async with client.post(f"/rpc?token={TOKEN}", json=call("whoami")) as answer:
        assert (await answer.json())["error"]["data"] == {"reason": "missing"}
    async with client.get(f"/ws?token={TOKEN}") as answer:
        assert answer.status == 400
        assert TOKEN not in await answer.text()
    for headers in ({"Referer": f"http://x/?token={TOKEN}"}, {"Cookie": f"token={TOKEN}"}, {"X-Token": TOKEN}):
        async with client.post("/rpc", json=call("whoami"), headers=headers) as answer:
            assert (await answer.json())["error"]["data"] == {"reason": "missing"}
    async with client.post("/rpc", json=call("whoami"), headers=AUTHORIZED) as answer:
        assert "result" in await answer.json()
    log = _log(caplog)
    assert "rpc.call" in log
    assert TOKEN not in log


@pytest.mark.parametrize("length", [300, 200_000])
async def test_a_failed_log_in_writes_no_long_fields(
    house: House, caplog: pytest.LogCaptureFixture, length: int
) -> None:
    """Class: unbounded fields logged on a failed log-in: strangers fill a disk, or fool the reader of a log."""
    caplog.set_level(logging.DEBUG)
    client = await house.serve(Front.of())
    name = '\n{"event": "forged"}' + "n" * length
    for params in ({"username": name, "password": "p" * length}, {"username": name[:256], "password": "p" * 1024}):
        async with client.post("/rpc", json=call("login", params), headers={"User-Agent": "u" * 4000}) as answer:
            text = await answer.text()
            assert json.loads(text)["error"]["code"] in (-32602, -32001)
            assert len(text) < 500
    log = _log(caplog)
    assert log.count("rpc.call") == 2
    assert not [part for part in ("forged", "nnnn", "pppp", "uuuu") if part in log]
    assert all(len(line) < 1000 for line in log.splitlines())


def _log(caplog: pytest.LogCaptureFixture) -> str:
    """Without the access log of the tests' own server, which the service has none of (rpc.http_server)."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name != "aiohttp.access")


# -- processes ---------------------------------------------------------------------------------------------------------


def test_no_param_reaches_the_launch_of_a_kernel() -> None:
    """Class: an environment, a path or arguments that clients choose and that reach the launcher of kernels."""
    launching = {"env", "environment", "argv", "args", "command", "path", "cwd", "workdir", "kernel_env", "executable"}
    for name, entry in REGISTRY.items():
        members = {member.name for member in entry.reader.members}
        assert members.isdisjoint(launching), name
        assert TOKEN_MEMBER not in members
    opening = {field.name for field in structs.fields(hop.OpenSession)}
    assert opening == {"caller", "request_id", "traceparent", "kernel", "session", "start"}


@pytest.mark.parametrize("method", ["login", "open_session", "evaluate", "restart"])
async def test_an_environment_is_refused(method: str) -> None:
    """Class: as above: the member is not ignored but refused."""
    front = Front.of()
    usual = {"login": {"username": "ann", "password": PASSWORD}, "evaluate": {"code": "1"}}.get(method, {})
    for member in ("env", "cwd", "argv"):
        error = await front.error(method, {**usual, member: {"LD_PRELOAD": "/tmp/evil.so"}})
        assert (error["code"], error["data"]["member"]) == (-32602, member)
    assert front.bridge.asked == []


def test_a_kernel_gets_an_allow_list_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Class: as above, from the other side: what the administrator's shell holds is no business of users' code."""
    for name in ("AWS_SECRET_ACCESS_KEY", "KERNELWIRE_TOKEN", "LD_PRELOAD", "DATABASE_URL", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "secret")
    spec = Spec("python3", "Python", "python", ["python"], {"KERNELWIRE_X": "y"}, "signal", {}, "")
    found = environment(spec)
    assert "secret" not in found.values()
    assert not [name for name in found if name.startswith(("AWS", "KERNELWIRE", "LD_PRELOAD", "SSH"))]


HOSTILE = "raise SystemExit('code of the working directory was run')\n"


async def test_nothing_is_read_from_the_working_directory(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Class: files read from the working directory (configuration, modules, secrets), which somebody else filled."""
    place = tmp_path / "hostile"
    place.mkdir()
    modules = ("auth", "rpc", "kernel_bridge", "kernelwire", "json", "msgspec", "zmq", "ipykernel", "sitecustomize")
    for name in (*modules, "usercustomize", "jupyter_config", "ipython_config", "ipython_kernel_config", "startup"):
        (place / f"{name}.py").write_text(HOSTILE)
    for name in ("config.toml", "kernelwire.toml", "pyproject.toml", ".env", "alembic.ini", "pip.conf"):
        (place / name).write_text("[serve]\nport = 1\n[auth]\nlogins_at_once = 999\nKERNELWIRE_SERVE__PORT=1\n")
    (place / "secret").write_text("ab" * 32 + "\n")
    (place / "audit.jsonl").write_text("")
    (place / "kernels").mkdir()
    before = sorted(path.name for path in place.iterdir())
    service = Service.start(tmp_path / "state", home=tmp_path / "home", prefix=["env", "-C", str(place)])
    try:
        client = await Client(http, service).log_in()
        assert Path(f"/proc/{service.process.pid}/cwd").readlink() == place
        assert (await client.evaluate("6 * 7")).text == "42"
        assert b"\xab" * 32 not in load(service.state_dir).keys
        assert sorted(path.name for path in place.iterdir()) == before
        await asyncio.to_thread(service.stop)
    finally:
        service.abandon()
