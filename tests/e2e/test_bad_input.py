"""The issue's list of bad input: each has its error and words that help; nothing is a 500, and the session works on."""

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from auth import secret
from auth.tokens import TokenSigner
from tests.e2e.client import Answer, Client


@pytest.fixture
async def session(shared: Client) -> AsyncIterator[Client]:
    """A client that can still evaluate after whatever the test sent. All tests share its session."""
    yield shared
    assert (await shared.evaluate("1 + 1")).text == "2"


def _call(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


async def _refused(client: Client, body: bytes, code: int, *words: str, status: int = 200) -> dict[str, Any]:
    """The error of the answer to `body`; its message must hold `words`."""
    answer = await client.post(body)
    assert answer.status == status, answer
    return _error(answer, code, *words)


def _error(answer: Answer, code: int, *words: str) -> dict[str, Any]:
    failure = answer.failure()
    assert failure.code == code, failure
    for word in words:
        assert word in failure.message, failure.message
    assert "Traceback" not in failure.message
    assert len(failure.message) < 500
    return failure.data or {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"   \n", "the body is empty"),
        (b"{", "byte 1"),
        (b'{"jsonrpc": "2.0", "method": "whoami", "id": 1', "ends too early"),
        (b'{"jsonrpc": "2.0", "method": "whoami", "id": 1}}', "trailing characters"),
        (b"{'jsonrpc': '2.0'}", "byte 1"),
        (b'{"jsonrpc": "2.0", "id": NaN, "method": "whoami"}', "NaN"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "1", "wait": NaN}}', "NaN"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "1", "wait": Infinity}}', "Infinity"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "\\ud800"}}', "surrogate"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "\xff"}}', "UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[" * 10_000 + b"]" * 10_000, "nested"),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
            "nest",
        ),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "whoami"},', "ends too early"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else str(value),
)
async def test_what_is_no_json(session: Client, body: bytes, words: str) -> None:
    await _refused(session, body, -32700, words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"1", "request object"),
        (b'"whoami"', "request object"),
        (b"null", "request object"),
        (b"1e400", "request object"),
        (b"9" * 5000, "request object"),
        (b"[]", "at least one"),
        (b"{}", "`jsonrpc`"),
        (b'{"jsonrpc": 2.0, "id": 1, "method": "whoami"}', '`jsonrpc`: expected "2.0"'),
        (b'{"jsonrpc": "2.0", "id": 1}', "`method`"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 1}', "`method`: expected a string"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "whoami", "params": "x"}', "`params`: expected an object or an array"),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "whoami"}', "`id`: expected a string, a number or null"),
        (b'{"jsonrpc": "2.0", "id": true, "method": "whoami"}', "`id`"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else "",
)
async def test_what_is_no_request(session: Client, body: bytes, words: str) -> None:
    await _refused(session, body, -32600, words)


@pytest.mark.parametrize(
    ("method", "words"),
    [("evalute", "did you mean `evaluate`"), ("", "``"), ("__init__", "__init__"), ("rpc.nothing", "rpc.nothing")],
)
async def test_unknown_methods(session: Client, method: str, words: str) -> None:
    await _refused(session, _call(method), -32601, words)
    await _refused(session, _call("x" * 100_000), -32601)


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("evaluate", {}, "`code`: expected a string of code, got nothing"),
        ("evaluate", {"code": 1}, "`code`: expected a string of code, got the number 1"),
        ("evaluate", {"code": None}, "`code`"),
        ("evaluate", {"code": ["1"]}, "got an array"),
        ("evaluate", {"code": "1", "cod": "2"}, "`cod`"),
        ("evaluate", {"code": "1", "wait": -1}, "`wait`: expected a number of seconds from 0 to 300"),
        ("evaluate", {"code": "1", "wait": 300.5}, "from 0 to 300"),
        ("evaluate", {"code": "1", "wait": "1"}, "`wait`"),
        ("evaluate", {"code": "1", "wait": True}, "`wait`"),
        ("evaluate", {"code": "1", "timeout": 0}, "`timeout`: expected a number of seconds above 0"),
        ("evaluate", {"code": "1", "cell": ""}, "`cell`: expected the id of a cell: 1 to 64 letters"),
        ("evaluate", {"code": "1", "cell": "x" * 65}, "`cell`"),
        ("evaluate", {"code": "1", "cell": "../../etc"}, "`cell`"),
        ("evaluate", {"code": "1", "cell": "line\n"}, "`cell`"),
        ("evaluate", {"code": "1", "silent": "yes"}, "`silent`: expected true or false"),
        ("evaluate", {"code": "1", "metadata": []}, "`metadata`: expected an object"),
        ("evaluate", {"code": "1", "user_expressions": {"a": 1}}, "`user_expressions`: expected an object of strings"),
        ("evaluate", {"code": "1", "session": ""}, "`session`"),
        ("evaluate", {"code": "1", "token": 1}, "`token`: expected a string"),
        ("complete", {"code": "1", "cursor_pos": -1}, "`cursor_pos`: expected an integer from 0"),
        ("complete", {"code": "1", "cursor_pos": 2}, "`cursor_pos`"),
        ("complete", {"code": "1", "cursor_pos": 0.5}, "`cursor_pos`"),
        ("inspect", {"code": "len", "detail_level": 2}, "`detail_level`: expected 0"),
        ("poll_output", {"cursor": -1}, "`cursor`: expected an integer from 0"),
        ("poll_output", {"cursor": "0"}, "`cursor`"),
        ("poll_output", {"wait": 301}, "from 0 to 300"),
        ("poll_output", {"limit": 0}, "`limit`: expected an integer from 1 to 10000"),
        ("poll_output", {"limit": 10_001}, "`limit`"),
        ("poll_output", {"max_bytes": 1}, "`max_bytes`: expected an integer from 1024"),
        ("get_cell", {}, "`cell`"),
        ("list_sessions", {"limit": 0}, "`limit`"),
        ("list_sessions", {"after": "nowhere"}, "`after`"),
        ("whoami", {"x": 1}, "`x`: expected no params"),
        ("input_reply", {"id": "1"}, "`value`"),
        ("close_session", {"delete": 1}, "`delete`: expected true or false"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
async def test_wrong_params(session: Client, method: str, params: dict[str, Any], words: str) -> None:
    data = await _refused(session, _call(method, **params), -32602, words)
    assert data["member"]
    assert data["expected"]


async def test_wrong_params_of_log_in(anybody: Client) -> None:
    for params, words in (
        ({}, "`username`"),
        ({"username": "admin"}, "`password`"),
        ({"username": 1, "password": "x"}, "`username`: expected a string"),
        ({"username": "admin", "password": "x" * 2000}, "`password`"),
    ):
        await _refused(anybody, _call("login", **params), -32602, words)
    await _refused(anybody, _call("login", username="\U0001d54f\0", password="\0"), -32001)


async def test_too_many_params_by_position(session: Client) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "whoami", "params": [1]}).encode()
    await _refused(session, body, -32602, "at most 0 by position")


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "1e400", "-1e400", "18446744073709551616"])
async def test_huge_numbers(session: Client, number: str) -> None:
    for method, member in (("evaluate", "wait"), ("poll_output", "cursor"), ("complete", "cursor_pos")):
        params = f'{{"{member}": {number}}}' if method == "poll_output" else f'{{"code": "1", "{member}": {number}}}'
        body = f'{{"jsonrpc": "2.0", "id": 1, "method": "{method}", "params": {params}}}'
        await _refused(session, body.encode(), -32602, f"`{member}`")
    body = (
        f'{{"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {{"code": "1", "metadata": {{"n": {number}}}}}}}'
    )
    await _refused(session, body.encode(), -32602, "`metadata`")
    body = f'{{"jsonrpc": "2.0", "id": {number}, "method": "nothing"}}'
    answer = await session.post(body.encode())
    assert f'"id":{number}'.encode() in answer.body  # echoed as it came


async def test_deep_nesting_inside_params(session: Client) -> None:
    deep = "[" * 10_000 + "]" * 10_000
    for params in (f'{{"code": {deep}}}', f'{{"code": "1", "metadata": {{"a": {deep}}}}}', f'{{"unknown": {deep}}}'):
        body = f'{{"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {params}}}'
        answer = await session.post(body.encode())
        assert answer.status == 200
        assert answer.failure().code in (-32700, -32602)


async def test_batches_of_rubbish(session: Client) -> None:
    answer = await session.post(b'[1, "x", null, true, [], {}, [[]], 1e400, {"jsonrpc": "2.0"}]')
    errors = [response.error for response in answer.responses()]
    assert [error.code for error in errors if error is not None] == [-32600] * 9
    ninety = b"[" + b",".join([b"1"] * 100) + b"]"
    assert len((await session.post(ninety)).responses()) == 100
    more = b"[" + b",".join([b'{"jsonrpc": "2.0", "id": 1, "method": "whoami"}'] * 101) + b"]"
    data = await _refused(session, more, -32005, "at most 100")
    assert data == {"limit": "batch_items", "value": 100}


async def test_limits(session: Client) -> None:
    data = await _refused(session, _call("evaluate", code="#" * ((1 << 20) + 1)), -32005, "1048576 bytes")
    assert data == {"limit": "code_bytes", "value": 1 << 20}
    data = await _refused(session, _call("evaluate", code="1", metadata={"a": "x" * 4096}), -32005, "4096 bytes")
    assert data["limit"] == "metadata_bytes"
    assert (await session.evaluate("#" * (1 << 20))).end == "ok"


async def test_forged_and_truncated_tokens(session: Client) -> None:
    token = session.token
    assert token.startswith("kw_")
    first, signature = token.removeprefix("kw_").split(".")
    altered = base64.urlsafe_b64encode(b'{"user": "admin"}').decode().rstrip("=")
    forged = [
        token[:-1],
        token[: len(token) // 2],
        token + "x",
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        f"kw_{altered}.{signature}",
        f"kw_{first}",
        "kw_",
        "x" * 5000,
    ]
    for bad in forged:
        for body in (_call("whoami"), _call("evaluate", code="1")):
            answer = await session.post(body, Authorization=f"Bearer {bad}")
            assert answer.status == 401, bad
            assert _error(answer, -32002, "no token of this service") == {"reason": "malformed"}
        anybody = Client(session.http, session.service)
        assert await _refused(anybody, _call("whoami", token=bad), -32002) == {"reason": "malformed"}


async def test_an_expired_token(session: Client) -> None:
    """Signed with the service's own secret, so that nobody has to wait for it to expire."""
    signer = TokenSigner(secret.load(session.service.state_dir))
    claims = signer.unsign(session.token)
    expired = signer.sign(msgspec.structs.replace(claims, expires_at=int(time.time())))
    answer = await session.post(_call("whoami"), Authorization=f"Bearer {expired}")
    assert answer.status == 401
    assert _error(answer, -32002, "expired") == {"reason": "expired"}


async def test_a_token_of_another_service(session: Client) -> None:
    claims = TokenSigner(secret.load(session.service.state_dir)).unsign(session.token)
    elsewhere = TokenSigner(secret.Keys((b"k" * 32,))).sign(claims)
    answer = await session.post(_call("whoami"), Authorization=f"Bearer {elsewhere}")
    assert answer.status == 401
    assert _error(answer, -32002) == {"reason": "malformed"}


async def test_what_is_not_there(session: Client, anybody: Client) -> None:
    failure = await session.fails(-32011, "get_cell", cell="never")
    assert failure.data == {"cell": "never"}
    await session.fails(-32011, "poll_output", cell="never", wait=0)
    await session.fails(-32011, "interrupt", cell="never")
    await session.fails(-32010, "evaluate", code="1", session="never.was")
    failure = await session.fails(-32012, "open_session", kernel="no-such-kernel")
    assert failure.data is not None
    assert "python3" in failure.data["available"]
    assert "python3" in failure.message
    params = {"username": "admin", "password": session.service.password}
    await anybody.fails(-32012, "login", kernel="../../python3", **params)
    await anybody.fails(-32602, "login", kernel="other", session=session.session, **params)


async def test_a_cursor_beyond_the_end(session: Client) -> None:
    newest = (await session.evaluate("1")).cursor
    failure = await session.fails(-32602, "poll_output", cursor=newest + 1, wait=0)
    assert failure.data is not None
    assert failure.data["newest"] == newest
    assert (await session.poll(newest, wait=0)).events == []


async def test_a_closed_session(client: Client) -> None:
    await client.evaluate("1", cell="one")
    await client.call("close_session")
    for method, params in (("evaluate", {"code": "1"}), ("complete", {"code": "1"}), ("inspect", {"code": "len"})):
        failure = await client.fails(-32010, method, **params)
        assert failure.data == {"session": client.session, "closed": True}
        assert "login" in failure.message
    assert (await client.cell("one")).text == "1"


async def test_empty_code_is_code(session: Client) -> None:
    for code in ("", "\n", "# nothing"):
        cell = await session.evaluate(code)
        assert (cell.state, cell.end, cell.text) == ("done", "ok", "")


async def test_one_cell_id_with_two_codes(session: Client) -> None:
    await session.evaluate("'first'", cell="same")
    failure = await session.fails(-32013, "evaluate", code="'second'", cell="same")
    assert failure.data == {"cell": "same"}
    assert (await session.cell("same")).code == "'first'"


async def test_code_that_is_no_python(session: Client) -> None:
    cell = await session.evaluate("def f(:\n")
    assert (cell.end, cell.outputs[-1]["ename"]) == ("error", "SyntaxError")
    assert (await session.evaluate("'\\0'.encode()\n\0")).state == "done"
