"""HTTP as people type it: real curl against the real service."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import Client
from tests.e2e.service import Service

WHOAMI = '{"jsonrpc": "2.0", "id": 7, "method": "whoami"}'
EVALUATE = '{"jsonrpc": "2.0", "id": 8, "method": "evaluate", "params": {"code": "6 * 7"}}'
MIB = 1 << 20


class Curl:
    """One answer of curl: status, headers in lower case, JSON."""

    def __init__(self, service: Service, *arguments: str, path: str = "/rpc", stdin: bytes = b"") -> None:
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--include", "--max-time", "60", *arguments, f"{service.url}{path}"],
            input=stdin,
            capture_output=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        head, _, self.body = done.stdout.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head, _, self.body = self.body.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}

    @property
    def json(self) -> Any:
        assert self.headers["content-type"].startswith("application/json")
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The one error object that a refusal is, with id null."""
        assert (self.json["jsonrpc"], self.json["id"]) == ("2.0", None)
        return self.json["error"]


def _bearer(client: Client) -> list[str]:
    return ["-H", f"Authorization: Bearer {client.token}"]


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "application/json-rpc",
        "application/vnd.api+json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=utf-8",
    ],
)
async def test_media_types_that_are_json(shared: Client, media: str) -> None:
    answer = Curl(shared.service, *_bearer(shared), "-H", f"Content-Type: {media}", "-d", WHOAMI)
    assert (answer.status, answer.json["result"]["user"]) == (200, "admin")


@pytest.mark.parametrize(
    "media",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/json",
        "application/jsonp",
        "application/json, text/plain",
    ],
)
async def test_media_types_that_are_not(shared: Client, media: str) -> None:
    answer = Curl(shared.service, *_bearer(shared), "-H", f"Content-Type: {media}", "-d", WHOAMI)
    assert (answer.status, answer.error["code"]) == (415, -32600)
    assert "curl --json '...'" in answer.error["message"]
    assert "-H 'Content-Type: application/json'" in answer.error["message"]


async def test_a_form_post_is_told_the_same(shared: Client) -> None:
    assert Curl(shared.service, *_bearer(shared), "-d", WHOAMI).status == 415


async def test_evaluate_with_token_scheme_and_token_member(shared: Client) -> None:
    shared.service.private.add(shared.token)
    by_header = Curl(shared.service, "-H", f"Authorization: token {shared.token}", "--json", EVALUATE)
    assert by_header.json["result"]["text"] == "42"
    call = {"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "6 * 7", "token": shared.token}}
    assert Curl(shared.service, "--json", json.dumps(call)).json["result"]["text"] == "42"
    call["params"] = {"code": "6 * 7", "token": "another"}
    both = Curl(shared.service, *_bearer(shared), "--json", json.dumps(call))
    assert (both.status, both.json["error"]["code"], both.json["id"]) == (200, -32602, 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_verbs(anybody: Client, method: str) -> None:
    answer = Curl(anybody.service, "-X", method)
    assert (answer.status, answer.error["code"], answer.headers["allow"]) == (405, -32600, "POST")
    assert "POST" in answer.error["message"]


@pytest.mark.parametrize("path", ["/", "/rpc/", "/nothing", "/rpc/..%2f..%2fetc/passwd", "//rpc"])
async def test_other_places(anybody: Client, path: str) -> None:
    answer = Curl(anybody.service, "--path-as-is", "--json", WHOAMI, path=path)
    assert (answer.status, answer.error["code"]) == (404, -32600)
    assert "POST /rpc" in answer.error["message"]


async def test_health(anybody: Client) -> None:
    health = Curl(anybody.service, path="/healthz")
    assert (health.status, health.json["status"], health.json["api"]) == (200, "ok", "1.0")
    ready = Curl(anybody.service, path="/readyz")
    assert (ready.status, ready.json["ready"]) == (200, True)


@pytest.mark.parametrize("how", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]])
async def test_a_body_that_is_too_large(shared: Client, tmp_path: Path, how: list[str]) -> None:
    body = tmp_path / "body"
    body.write_bytes(b'{"jsonrpc": "2.0", "id": 1, "method": "whoami", "params": {"x": "' + b"x" * (8 * MIB) + b'"}}')
    answer = Curl(shared.service, *_bearer(shared), "--json", f"@{body}", *how)
    assert (answer.status, answer.error["code"]) == (413, -32005)
    assert answer.error["data"] == {"limit": "body_bytes", "value": 8 * MIB}
    assert str(8 * MIB) in answer.error["message"]


async def test_a_chunked_upload(shared: Client) -> None:
    answer = Curl(shared.service, *_bearer(shared), "-H", "Transfer-Encoding: chunked", "--json", EVALUATE)
    assert answer.json["result"]["text"] == "42"


async def test_notifications(client: Client) -> None:
    one = '{"jsonrpc": "2.0", "method": "evaluate", "params": {"code": "noted = 5", "cell": "note"}}'
    answer = Curl(client.service, *_bearer(client), "--json", one)
    assert (answer.status, answer.body) == (204, b"")
    both = Curl(client.service, *_bearer(client), "--json", f"[{one}, {one}]")
    assert (both.status, both.body) == (204, b"")
    await client.done("note")
    assert (await client.evaluate("noted")).text == "5"
    assert [event.type for event in (await client.poll()).events].count("execute_input") == 2


async def test_a_mixed_batch(client: Client) -> None:
    batch = """[
        {"jsonrpc": "2.0", "id": "first", "method": "evaluate", "params": {"code": "order = [1]; order"}},
        1,
        {"jsonrpc": "2.0", "method": "evaluate", "params": {"code": "order.append(2)"}},
        {"jsonrpc": "2.0", "id": 1.50, "method": "evalute", "params": {"code": "1"}},
        {"jsonrpc": "2.0", "id": null, "method": "evaluate", "params": ["order.append(3); order"]},
        {"jsonrpc": "1.0", "id": 4, "method": "whoami"},
        {"jsonrpc": "2.0", "id": 5, "method": "evaluate", "params": {"cod": "1"}},
        {"jsonrpc": "2.0", "id": 12345678901234567890123, "method": "whoami"}
    ]"""
    answer = Curl(client.service, *_bearer(client), "--json", batch)
    assert answer.status == 200
    found = answer.json
    assert [item["id"] for item in found] == ["first", None, 1.5, None, 4, 5, 12345678901234567890123]
    assert b'"id":1.50' in answer.body  # as it came
    codes = [item["error"]["code"] if "error" in item else "ok" for item in found]
    assert codes == ["ok", -32600, -32601, "ok", -32600, -32602, "ok"]
    assert (found[0]["result"]["text"], found[3]["result"]["text"]) == ("[1]", "[1, 2, 3]")
    assert "did you mean `evaluate`" in found[2]["error"]["message"]
    assert "`cod`" in found[5]["error"]["message"]


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer  ", "Bearer nonsense", "Basic YWRtaW46eA==", "Bearer a b", "token kw_e30.e30.e30", "kw_e30"],
)
async def test_a_bad_header(shared: Client, header: str) -> None:
    answer = Curl(shared.service, "-H", f"Authorization: {header}", "--json", f"[{WHOAMI}, {WHOAMI}]")
    assert (answer.status, answer.error["code"]) == (401, -32002)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.error["data"] == {"reason": "malformed"}
    assert "token" in answer.error["message"]


async def test_log_in_with_a_stale_header(anybody: Client) -> None:
    params = {"username": "admin", "password": anybody.service.password}
    login = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "login", "params": params})
    answer = Curl(anybody.service, "-H", "Authorization: Bearer stale", "--json", login)
    assert answer.status == 200
    anybody.service.private.add(answer.json["result"]["token"])
    assert answer.json["result"]["session"]


async def test_no_token_at_all(anybody: Client) -> None:
    answer = Curl(anybody.service, "--json", WHOAMI)
    assert (answer.status, answer.json["id"], answer.json["error"]["code"]) == (200, 7, -32002)
    assert answer.json["error"]["data"] == {"reason": "missing"}
    assert "log in" in answer.json["error"]["message"]
