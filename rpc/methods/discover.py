"""The method that describes the methods."""

import asyncio

from rpc.context import Context
from rpc.document_messages import OpenRpcDocument
from rpc.messages import Nothing
from rpc.registry import method


@method("rpc.discover", params=Nothing, result=OpenRpcDocument, scope=None, token=False)
async def discover(context: Context, _: Nothing) -> OpenRpcDocument:  # noqa: ARG001 (every handler has one)
    """The OpenRPC document of this service, the same as `GET /openrpc.json`. It needs no token.

    Source: OpenRPC 1.3, "Service Discovery Method".
    """
    from rpc import documents  # the documents describe all methods, this one too

    return await asyncio.to_thread(documents.openrpc)
