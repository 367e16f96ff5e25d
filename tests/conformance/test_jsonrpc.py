"""Every example of the JSON-RPC 2.0 specification, through the dispatcher and over HTTP."""

import json
from pathlib import Path
from typing import Annotated, Any, cast

import pytest
from msgspec import Meta, Struct
from pytest_aiohttp import AiohttpClient

from rpc.app import create_app
from rpc.context import Context
from rpc.messages import Nothing
from rpc.registry import Registry, method
from tests.unit.rpc.fakes import Front

DATA = json.loads(Path(__file__).with_name("jsonrpc_examples.json").read_text())
EXAMPLES = [pytest.param(example, id=example["title"]) for example in DATA["examples"]]

Integer = Annotated[int, Meta(description="an integer")]


class Pair(Struct, frozen=True):
    minuend: Integer
    subtrahend: Integer


class Three(Struct, frozen=True):
    a: Integer
    b: Integer
    c: Integer


class Five(Struct, frozen=True):
    a: Integer
    b: Integer
    c: Integer
    d: Integer
    e: Integer


class One(Struct, frozen=True):
    a: Integer


@method("subtract", params=Pair, result=int, scope=None, token=False)
async def subtract(_: Context, params: Pair) -> int:
    return params.minuend - params.subtrahend


@method("sum", params=Three, result=int, scope=None, token=False)
async def sum_(_: Context, params: Three) -> int:
    return params.a + params.b + params.c


@method("notify_sum", params=Three, result=None, scope=None, token=False)
async def notify_sum(_: Context, params: Three) -> None: ...


@method("update", params=Five, result=None, scope=None, token=False)
async def update(_: Context, params: Five) -> None: ...


@method("notify_hello", params=One, result=None, scope=None, token=False)
async def notify_hello(_: Context, params: One) -> None: ...


@method("get_data", params=Nothing, result=list[Any], scope=None, token=False)
async def get_data(_: Context, params: Nothing) -> list[Any]:
    return ["hello", 5]


REGISTRY = Registry(subtract, sum_, notify_sum, update, notify_hello, get_data)


def text(example: dict[str, Any]) -> str:
    return example["raw"] if "raw" in example else json.dumps(example["send"])


def in_the_specifications_words(received: Any) -> Any:
    """The specification's messages are kept; after a colon ours say what was wrong."""
    if isinstance(received, list):
        return [in_the_specifications_words(response) for response in cast("list[Any]", received)]
    if received is not None and "error" in received:
        assert set(received) == {"jsonrpc", "error", "id"}
        error = received["error"]
        return {**received, "error": {"code": error["code"], "message": error["message"].partition(":")[0]}}
    return received


def test_there_are_all_fifteen() -> None:
    assert len(EXAMPLES) == 15


@pytest.mark.parametrize("example", EXAMPLES)
async def test_dispatch(example: dict[str, Any]) -> None:
    received = await Front.of(REGISTRY).send(text(example))
    assert in_the_specifications_words(received) == example["receive"]


@pytest.mark.parametrize("example", EXAMPLES)
async def test_http(example: dict[str, Any], aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(Front.of(REGISTRY).services, REGISTRY))
    async with client.post("/rpc", data=text(example), headers={"Content-Type": "application/json"}) as response:
        body = await response.read()
        if example["receive"] is None:
            assert (response.status, body) == (204, b"")
            return
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert in_the_specifications_words(json.loads(body)) == example["receive"]
