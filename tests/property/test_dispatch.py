"""Whatever is sent, the answer is JSON-RPC: every id once, unchanged, and nothing of an exception."""

import json
from collections import Counter
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from rpc.methods import REGISTRY
from tests.unit.rpc.fakes import TOKEN, Front

CODES = {-32700, -32600, -32601, -32602, -32001, -32002, -32003, -32005}

# No lone surrogates: they are no JSON text in UTF-8.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=10
)
ids = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
    text.map(json.dumps),
    text.map(lambda value: json.dumps(value, ensure_ascii=False)),
    st.sampled_from(["null", "1e2", "1.50", "-0", "1E400", '"\\u0041\\/"']),
)
method_names = st.sampled_from([*REGISTRY, "rpc.discover", "evalute"]) | text
member_names = st.sampled_from([member.name for entry in REGISTRY.values() for member in entry.reader.members]) | text
params = st.one_of(
    st.lists(json_values, max_size=12), st.dictionaries(member_names | st.just("token"), json_values, max_size=5)
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str | None]:
    """The text of a valid request object, and of its id if it has one."""
    members = {"jsonrpc": '"2.0"', "method": json.dumps(draw(method_names)), "params": json.dumps(draw(params))}
    request_id = draw(st.none() | ids)
    if request_id is not None:
        members["id"] = request_id
    order = draw(st.permutations(list(members)))
    return "{" + ", ".join(f'"{name}": {members[name]}' for name in order) + "}", request_id


async def answer(body: bytes, front: Front | None = None) -> str | None:
    front = front or Front.of()
    raw = await front.dispatcher.dispatch(body, [f"Bearer {TOKEN}"], "req-1")
    assert front.services.long_polls.waiting == 0
    return None if raw is None else raw.decode()


def check_response(response: Any) -> None:
    assert response["jsonrpc"] == "2.0"
    assert set(response) in ({"jsonrpc", "result", "id"}, {"jsonrpc", "error", "id"})
    if "error" in response:
        assert response["error"]["code"] in CODES
        assert set(response["error"]) <= {"code", "message", "data"}


@given(calls())
@settings(max_examples=200, deadline=None)
async def test_a_call_is_answered_once_with_its_own_id(call: tuple[str, str | None]) -> None:
    body, request_id = call
    response = await answer(body.encode())
    if request_id is None:
        assert response is None
        return
    assert response is not None
    check_response(json.loads(response))
    assert response.endswith(f',"id":{request_id}}}')


# No request objects, and no object with an id that an error would echo.
rubbish = json_values.filter(lambda value: not isinstance(value, dict) or "id" not in value)


@given(st.lists(calls() | rubbish.map(lambda value: (json.dumps(value), "null")), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
async def test_a_batch_answers_every_id_and_no_notification(batch: list[tuple[str, str | None]]) -> None:
    response = await answer(f"[{','.join(body for body, _ in batch)}]".encode())
    wanted = [request_id for _, request_id in batch if request_id is not None]
    if not wanted:
        assert response is None
        return
    assert response is not None
    responses = cast("list[Any]", json.loads(response, parse_float=str, parse_int=str))
    for each in json.loads(response):
        check_response(each)
    given_ids = [json.loads(request_id, parse_float=str, parse_int=str) for request_id in wanted]
    assert [each["id"] for each in responses] == given_ids


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()) | text.map(str.encode))
@settings(max_examples=200, deadline=None)
async def test_rubbish_gets_an_error_object(body: bytes) -> None:
    response = json.loads(await answer(body) or "null")
    for each in cast("list[Any]", response if isinstance(response, list) else [response]):
        check_response(each)
        assert each["id"] is None or isinstance(each["id"], str | int | float)
        assert "error" in each


@given(calls(), st.data())
@settings(max_examples=100, deadline=None)
async def test_a_truncated_call_is_a_parse_error(call: tuple[str, str | None], data: st.DataObject) -> None:
    raw = call[0].encode()
    response = await answer(raw[: data.draw(st.integers(0, len(raw) - 1))])
    assert response is not None
    assert json.loads(response)["error"]["code"] == -32700


@given(st.lists(text, min_size=1, max_size=10, unique=True))
@settings(max_examples=50, deadline=None)
async def test_the_calls_of_a_batch_reach_the_host_in_order(codes: list[str]) -> None:
    front = Front.of()
    batch = [{"jsonrpc": "2.0", "method": "evaluate", "params": [code], "id": n} for n, code in enumerate(codes)]
    response = await answer(json.dumps(batch).encode(), front)
    asked: list[Any] = front.bridge.asked
    assert [request.code for request in asked] == codes
    assert Counter(each["id"] for each in json.loads(response or "[]")) == Counter(range(len(codes)))
