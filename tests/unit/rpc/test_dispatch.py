"""Batches, tokens, errors and cancellation, with a bridge of the test's own."""

import asyncio
import logging
from typing import Any

import pytest

from auth.errors import InvalidToken
from kernel_bridge import errors as bridge_errors
from kernel_bridge import hop
from rpc.context import Context
from rpc.messages import Nothing
from rpc.registry import Registry, method
from tests.unit.rpc.fakes import (
    BARE_TOKEN,
    EXPIRED_TOKEN,
    PASSWORD,
    READ_TOKEN,
    REVOKED_TOKEN,
    TOKEN,
    Front,
    turns,
)

BEARER = f"Bearer {TOKEN}"


def call(method: str, request_id: object = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": request_id}


async def test_a_call() -> None:
    front = Front.of()
    response = await front.send(call("evaluate", code="1+1"), BEARER)
    assert response["result"]["text"] == "2"
    assert (response["jsonrpc"], response["id"]) == ("2.0", 1)


async def test_the_hosts_json_is_passed_on_byte_for_byte() -> None:
    front = Front.of()
    front.bridge.answers[hop.Evaluate] = b'{"new": 1e2, "\\u0041": [ ]}'
    raw = await front.dispatcher.dispatch(b'{"jsonrpc":"2.0","method":"evaluate","params":["x"],"id":1}', [BEARER], "")
    assert raw == b'{"jsonrpc":"2.0","result":{"new": 1e2, "\\u0041": [ ]},"id":1}'


async def test_unknown_methods_are_named_with_a_guess() -> None:
    error = await Front.of().error("evalute", {"code": ""})
    assert error == {"code": -32601, "message": "Method not found: `evalute`; did you mean `evaluate`?"}
    error = await Front.of().error("x" * 10_000)
    assert error == {"code": -32601, "message": f"Method not found: `{'x' * 64}`"}


async def test_wrong_params_are_named_with_what_was_expected() -> None:
    error = await Front.of().error("evaluate", {"code": "", "wait": "soon"})
    assert error == {
        "code": -32602,
        "message": "Invalid params: `wait`: expected a number of seconds from 0 to 300, got a string",
        "data": {"member": "wait", "expected": "a number of seconds from 0 to 300"},
    }


@pytest.mark.parametrize("name", ["context", "self", "params", "raw", "request", "id"])
async def test_no_member_clashes_with_a_name_of_ours(name: str) -> None:
    error = await Front.of().error("whoami", {name: 1})
    assert error["message"] == f"Invalid params: `{name}`: expected no params, got an unknown member"


async def test_a_notification_gets_nothing_even_when_it_is_wrong() -> None:
    front = Front.of()
    for request in (
        {"jsonrpc": "2.0", "method": "evaluate", "params": ["x"]},
        {"jsonrpc": "2.0", "method": "evaluate", "params": {"wait": -1}},
        {"jsonrpc": "2.0", "method": "nothing"},
    ):
        assert await front.send(request, BEARER) is None
    assert len(front.bridge.asked) == 1


async def test_a_notification_does_not_wait() -> None:
    front = Front.of()
    await front.send({"jsonrpc": "2.0", "method": "evaluate", "params": {"code": "x", "wait": 300}}, BEARER)
    (asked,) = front.bridge.asked
    assert isinstance(asked, hop.Evaluate)
    assert asked.wait == 0


async def test_a_batch_starts_in_order_runs_at_once_and_answers_in_order() -> None:
    front = Front.of()
    front.bridge.gate.clear()
    batch = [call("evaluate", n, code=str(n)) for n in range(10)]
    batch.insert(3, {"jsonrpc": "2.0"})
    task = asyncio.create_task(front.send(batch, BEARER))
    await turns(lambda: len(front.bridge.asked) == 10)
    asked: list[Any] = front.bridge.asked
    assert [request.code for request in asked] == [str(n) for n in range(10)]
    front.bridge.gate.set()
    responses = await task
    assert [response["id"] for response in responses] == [0, 1, 2, None, *range(3, 10)]
    assert responses[3]["error"]["code"] == -32600


async def test_too_long_a_batch_is_one_error() -> None:
    front = Front.of(batch_items=2)
    response = await front.send([call("whoami", n) for n in range(3)], BEARER)
    assert (response["id"], response["error"]["data"]) == (None, {"limit": "batch_items", "value": 2})
    assert response["error"]["code"] == -32005


async def test_the_results_of_a_batch_are_bounded() -> None:
    front = Front.of(batch_answer_bytes=100)
    responses = await front.send([call("evaluate", n, code="x") for n in range(2)], BEARER)
    assert "result" in responses[0]
    assert responses[1]["error"]["data"] == {"limit": "batch_answer_bytes", "value": 100}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Bearer forged", "malformed"),
        (f"Basic {TOKEN}", "malformed"),
        ("Bearer", "malformed"),
        (f"Bearer {EXPIRED_TOKEN}", "expired"),
        (f"Bearer {REVOKED_TOKEN}", "revoked"),
    ],
)
async def test_a_bad_header_refuses_the_whole_request_before_anything_runs(header: str, reason: str) -> None:
    front = Front.of()
    with pytest.raises(InvalidToken) as caught:
        await front.send([call("login", username="ann", password=PASSWORD), call("evaluate", code="x")], header)
    assert caught.value.reason == reason
    assert front.bridge.asked == []


async def test_a_stale_header_does_not_stop_a_login() -> None:
    front = Front.of()
    response = await front.send(call("login", username="ann", password=PASSWORD, token="old"), "Bearer old")
    assert response["result"]["token"] == TOKEN
    assert front.authenticator.checks == 0


async def test_a_stale_header_does_not_hide_other_errors() -> None:
    response = await Front.of().send([1, call("nothing")], "Bearer old")
    assert [each["error"]["code"] for each in response] == [-32600, -32601]


async def test_a_token_in_the_params() -> None:
    front = Front.of()
    assert (await front.send(call("whoami", token=TOKEN)))["result"]["user"] == "ann"
    assert (await front.send(call("whoami", token=TOKEN), BEARER))["result"]["user"] == "ann"
    error = (await front.send(call("whoami", token=READ_TOKEN), BEARER))["error"]
    assert (error["code"], error["data"]["member"]) == (-32602, "token")
    for token, reason in ((EXPIRED_TOKEN, "expired"), ("x", "malformed"), (None, "missing")):
        error = (await front.send(call("whoami", **({"token": token} if token else {}))))["error"]
        assert (error["code"], error["data"]) == (-32002, {"reason": reason})


async def test_a_scope() -> None:
    front = Front.of()
    error = await front.error("evaluate", {"code": "x"}, READ_TOKEN)
    assert (error["code"], error["data"]) == (-32003, {"scope": "evaluate"})
    assert front.bridge.asked == []
    await front.result("poll_output", {}, READ_TOKEN)
    await front.result("whoami", {}, READ_TOKEN)


async def test_a_token_without_a_session_needs_one_named() -> None:
    front = Front.of()
    error = await front.error("evaluate", {"code": "x"}, BARE_TOKEN)
    assert (error["code"], error["data"]["member"]) == (-32602, "session")
    await front.result("evaluate", {"code": "x", "session": "s"}, BARE_TOKEN)


async def test_an_error_of_the_host_has_its_code() -> None:
    front = Front.of()
    front.bridge.answers[hop.PollOutput] = bridge_errors.InvalidArgument("cursor", "at most 7", newest=7)
    error = await front.error("poll_output", {"cursor": 8})
    assert (error["code"], error["data"]["newest"]) == (-32602, 7)
    front.bridge.answers[hop.Evaluate] = bridge_errors.SessionNotFound("s", closed=True)
    error = await front.error("evaluate", {"code": "x", "session": "s"})
    assert (error["code"], error["data"]) == (-32010, {"session": "s", "closed": True})


async def test_a_defect_is_logged_with_its_frames_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    front = Front.of()
    front.bridge.answers[hop.Evaluate] = ValueError("hunter2 = secret")
    with caplog.at_level(logging.DEBUG):
        error = await front.error("evaluate", {"code": "hunter2", "metadata": {"hunter2": 1}})
    assert error == {"code": -32603, "message": "Internal error", "data": {"request_id": "req-1"}}
    assert "ValueError" in caplog.text
    assert "fakes.py" in caplog.text
    assert "req-1" in caplog.text
    assert "hunter2" not in caplog.text


async def test_the_log_has_facts_and_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    front = Front.of()
    with caplog.at_level(logging.DEBUG):
        await front.send(call("login", username="ann", password=PASSWORD))
        await front.send(call("login", username="ann", password="hunter2"))
        await front.result("evaluate", {"code": "print('hunter2')", "metadata": {"a": "hunter2"}})
        await front.error("evaluate", {"code": "hunter2", "cell": "hunter2 "})
        await front.result("poll_output", {"session": "a.hunter2\nrpc.call"})
        await front.error("hunter2")
        await front.send(b'{"hunter2": "\\ud800"}')
    assert "hunter2" not in caplog.text
    assert PASSWORD not in caplog.text
    assert TOKEN not in caplog.text
    fields = [vars(record)["fields"] for record in caplog.records if vars(record).get("event") == "rpc.call"]
    assert [(each["method"], each["outcome"]) for each in fields] == [
        ("login", "ok"),
        ("login", -32001),
        ("evaluate", "ok"),
        ("evaluate", -32602),
        ("poll_output", "ok"),
        ("?", -32601),
        ("?", -32700),
    ]
    assert all(each["request_id"] == "req-1" for each in fields)
    assert fields[2]["session"] == "own"
    assert fields[2]["duration_ms"] >= 0


async def test_a_result_that_cannot_be_encoded_is_a_defect_of_ours() -> None:
    @method("odd", params=Nothing, result=None, scope=None, token=False)
    async def odd(context: Context, params: Nothing) -> object:
        return object()

    response = await Front.of(Registry(odd)).send(call("odd"))
    assert response["error"]["code"] == -32603


async def test_nan_never_leaves() -> None:
    @method("nan", params=Nothing, result=None, scope=None, token=False)
    async def nan(context: Context, params: Nothing) -> object:
        return [float("nan"), float("inf")]

    assert (await Front.of(Registry(nan)).send(call("nan")))["result"] == [None, None]


@pytest.mark.parametrize("turns_before", range(8))
async def test_a_cancelled_request_was_sent_and_leaves_nothing(turns_before: int) -> None:
    front = Front.of()
    front.bridge.gate.clear()
    batch = [call("evaluate", n, code=str(n), wait=10) for n in range(3)]
    task = asyncio.create_task(front.send(batch, BEARER))
    await asyncio.sleep(0)  # the request has begun
    for _ in range(turns_before):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    asked: list[Any] = front.bridge.asked
    assert [request.code for request in asked] == ["0", "1", "2"]
    assert front.bridge.cancelled == front.bridge.asked
    assert front.services.long_polls.waiting == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_request_cancelled_twice_still_ends_its_calls() -> None:
    front = Front.of()
    front.bridge.gate.clear()
    task = asyncio.create_task(front.send([call("evaluate", n, code="x") for n in range(3)], BEARER))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_draining_answers_what_waits() -> None:
    front = Front.of()
    front.bridge.gate.clear()
    task = asyncio.create_task(front.send([call("evaluate", 1, code="x"), call("poll_output", 2)], BEARER))
    await turns(lambda: len(front.bridge.asked) == 2)
    with front.services.lifecycle.request():
        await front.services.lifecycle.drain(0.01)
    responses = await task
    assert [each["error"]["code"] for each in responses] == [-32040, -32040]
    assert len(front.bridge.cancelled) == 2
