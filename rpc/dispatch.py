"""From the body of a request to the body of its answer. JSON-RPC 2.0, sections 4 to 6.

jsonrpcserver dispatches one request object at a time. What a batch is, what an id is, how params become structs and
which exception has which code is decided on this side of it: it is never shown an exception, an id that it could
change or a result that it could not encode.
"""

import asyncio
import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Raw

from auth.tokens import Claims
from kernel_bridge import hop
from kernel_bridge.errors import LimitExceeded, ShuttingDown
from rpc import bearer, envelope, errors, logs
from rpc.call_record import CallRecord
from rpc.context import Context, Exchange, Services
from rpc.envelope import Envelope, Item, Rejected
from rpc.errors import ErrorObject
from rpc.item_dispatch import Methods, Outcome, Response, Runner, dispatch_item
from rpc.limits import AnswerBudget
from rpc.metrics import UNKNOWN
from rpc.registry import Method

_NAME_CHARS = 64


class Dispatcher:
    """Answers requests with the methods of a registry. Keeps no state between them."""

    def __init__(self, registry: Mapping[str, Method[Any]], services: Services) -> None:
        self._registry = registry
        self._services = services
        self._with_token = frozenset(name for name, entry in registry.items() if entry.token)
        self._methods = Methods({name: self._runner(entry) for name, entry in registry.items()}, self._unknown)

    async def dispatch(
        self,
        body: bytes,
        authorization: Sequence[str],
        request_id: str,
        traceparent: str | None = None,
        address: str = "",
    ) -> bytes | None:
        """The answer to `body`, or None if nothing in it asks for one.

        `authorization` are the request's Authorization headers, `address` is the client's. The calls of a batch start
        in its order and run at the same time. When this coroutine is cancelled, every call has been sent and stops
        waiting; cells run on.

        Raises InvalidToken when a header is bad and some call needs a token; nothing was run then.
        """
        received = self._read(body)
        if isinstance(received, Rejected):
            return msgspec.json.encode(self._refuse(received, request_id))
        exchange = self._exchange(
            received,
            authorization,
            Exchange(
                request_id,
                None,
                None,
                AnswerBudget(self._services.settings.batch_answer_bytes),
                traceparent=traceparent,
                address=address,
            ),
        )
        return await self._answer_envelope(received, exchange)

    async def dispatch_message(self, body: bytes, exchange: Exchange) -> bytes | None:
        """As `dispatch`, for a message of a WebSocket: `exchange` says whose it is.

        Tokens are looked at call by call; one that a call brings itself goes before that of the WebSocket.
        """
        received = self._read(body)
        if isinstance(received, Rejected):
            return msgspec.json.encode(self._refuse(received, exchange.request_id))
        return await self._answer_envelope(received, exchange)

    def _read(self, body: bytes) -> Envelope | Rejected:
        try:
            return envelope.read(body, self._services.settings.batch_items)
        except (errors.RpcError, LimitExceeded) as error:
            return Rejected(error, envelope.NULL)

    async def _answer_envelope(self, received: Envelope, exchange: Exchange) -> bytes | None:
        if len(received.items) > 1:
            responses = await self._answer_all(received.items, exchange)
            return msgspec.json.encode(responses) if responses else None
        response = await self._answer_one(received.items[0], exchange)
        if response is None:
            return None
        return msgspec.json.encode([response] if received.batch else response)

    def _exchange(self, received: Envelope, authorization: Sequence[str], anonymous: Exchange) -> Exchange:
        if not authorization or not any(self._needs_token(item) for item in received.items):
            return anonymous
        token = bearer.parse(authorization)
        return replace(anonymous, token=token, claims=self._services.authenticator.check(token))

    def _needs_token(self, item: Item | Rejected) -> bool:
        return isinstance(item, Item) and item.method in self._with_token

    def _context(self, item: Item | Rejected, exchange: Exchange) -> Context:
        return Context(self._services, exchange, isinstance(item, Item) and item.id is None)

    async def _answer_one(self, item: Item | Rejected, exchange: Exchange) -> Response | None:
        """In this very task, which saves turns of the event loop: at its first await, the call has been sent."""
        if exchange.sent is not None:
            # what is called soon has its turn when this task waits, or has ended
            asyncio.get_running_loop().call_soon(exchange.sent.set)
        return await self._answer(item, self._context(item, exchange))

    async def _answer_all(self, items: Sequence[Item | Rejected], exchange: Exchange) -> list[Response]:
        contexts = [self._context(item, exchange) for item in items]
        answers = [
            asyncio.create_task(self._answer(item, context)) for item, context in zip(items, contexts, strict=True)
        ]
        try:
            if exchange.sent is not None:
                await _all_entered(contexts, answers)
                exchange.sent.set()
            await asyncio.wait(answers)
        except asyncio.CancelledError:
            # The client is gone. What it asked for is done all the same: each call gets to its first await, by
            # which it was sent.
            try:
                await _all_entered(contexts, answers)
            finally:
                for task in answers:
                    task.cancel()
            await asyncio.gather(*answers, return_exceptions=True)
            raise
        return [response for task in answers if (response := task.result()) is not None]

    async def _answer(self, item: Item | Rejected, context: Context) -> Response | None:
        if isinstance(item, Rejected):
            return self._refuse(item, context.request_id)
        return await dispatch_item(item, self._methods, context)

    def _refuse(self, item: Rejected, request_id: str) -> Response:
        shown = errors.show(item.error, request_id)
        logs.event(logging.INFO, "rpc.call", request_id=request_id, method=UNKNOWN, outcome=shown.code)
        self._services.metrics.call(UNKNOWN, shown.code, 0.0)
        return {"jsonrpc": "2.0", "error": shown.as_member(), "id": item.id}

    def _runner(self, entry: Method[Any]) -> Runner:
        async def run(context: Context, raw: Raw | None) -> Outcome:
            context.entered = True
            record = CallRecord(entry.name, context)
            with self._services.lifecycle.call():
                try:
                    answer = await self._call(entry, context, raw)
                except asyncio.CancelledError:
                    if not self._services.lifecycle.end_cut_call():
                        record.end("gone")
                        raise
                    answer = ShuttingDown()
                except Exception as error:  # noqa: BLE001 (the border: every error becomes a response)
                    answer = error
            outcome = answer if isinstance(answer, Raw) else self._shown(answer, entry, context)
            record.end(outcome.code if isinstance(outcome, ErrorObject) else "ok")
            return outcome

        return run

    def _unknown(self, name: str) -> Runner:
        async def run(context: Context, _: Raw | None) -> Outcome:
            context.entered = True
            near = difflib.get_close_matches(name, self._registry, n=1) if len(name) <= _NAME_CHARS else []
            hint = f"; did you mean `{near[0]}`?" if near else ""
            outcome = errors.show(errors.MethodNotFound(f"`{name[:_NAME_CHARS]}`{hint}"), context.request_id)
            CallRecord(UNKNOWN, context).end(outcome.code)
            return outcome

        return run

    def _shown(self, error: Exception, entry: Method[Any], context: Context) -> ErrorObject:
        if not errors.is_known(error):
            logs.failure(error, request_id=context.request_id, method=entry.name)
        return errors.show(error, context.request_id)

    async def _call(self, entry: Method[Any], context: Context, raw: Raw | None) -> Raw:
        params, token = entry.reader.read(raw)
        if entry.token:
            context.holder = self._authorize(entry, context.exchange, token)
            context.token = token or context.exchange.token
            calls, user_id = self._services.calls, context.holder.user_id
            calls.begin(user_id)
            try:
                result = await entry.handler(context, params)
            finally:
                calls.end(user_id)
        else:
            result = await entry.handler(context, params)
        encoded = result.raw if isinstance(result, hop.Answer) else msgspec.json.encode(result)
        context.exchange.budget.take(len(encoded))
        return Raw(encoded)

    def _authorize(self, entry: Method[Any], exchange: Exchange, token: str | None) -> Claims:
        if exchange.claims is None:
            claims = self._services.authenticator.check(token if token is not None else exchange.token)
        elif token is None or token == exchange.token:
            claims = exchange.claims
        else:
            raise errors.InvalidParams("token", "no other token than that of the Authorization header", "another one")
        if entry.scope is not None:
            claims.require(entry.scope)
        return claims


async def _all_entered(contexts: Sequence[Context], answers: Sequence[asyncio.Task[Response | None]]) -> None:
    # Tasks start within a few turns of the loop, so this ends; an event for each call would cost more.
    while not all(context.entered or task.done() for context, task in zip(contexts, answers, strict=True)):  # noqa: ASYNC110
        await asyncio.sleep(0)
