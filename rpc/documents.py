"""GET /openrpc.json and /openapi.json: the documents that are made from the methods, each once in a process."""

import asyncio
import functools
from typing import Any

import msgspec
from aiohttp import web

from rpc import examples
from rpc.document_messages import OpenApiDocument, OpenRpcDocument
from rpc.examples import Example
from rpc.methods import REGISTRY
from rpc.openapi import document as make_openapi
from rpc.openrpc import document as make_openrpc


@functools.cache
def openrpc() -> OpenRpcDocument:
    """The OpenRPC document of all methods, with the examples."""
    return make_openrpc(REGISTRY, _examples())


@functools.cache
def openapi() -> OpenApiDocument:
    """The OpenAPI document of all routes and methods, with the examples."""
    return make_openapi(REGISTRY, _examples())


class DocumentsEndpoint:
    """Serves the documents without a token. They are made in a thread, as it takes a moment."""

    async def openrpc(self, _: web.Request) -> web.Response:
        return _json(await asyncio.to_thread(openrpc))

    async def openapi(self, _: web.Request) -> web.Response:
        return _json(await asyncio.to_thread(openapi))


@functools.cache
def _examples() -> list[Example]:
    return examples.shown(examples.load())


def _json(document: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
