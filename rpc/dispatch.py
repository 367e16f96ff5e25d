"""From the body of a request to the body of its answer. JSON-RPC 2.0, sections 4 to 6.

jsonrpcserver dispatches one request object at a time. What a batch is, what an id is, how params become structs and
which exception has which code is decided on this side of it: it is never shown an exception, an id that it could
change or a result that it could not encode.
"""

import asyncio
import difflib
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from auth.tokens import Claims
from kernel_bridge import hop
from kernel_bridge.errors import LimitExceeded, ShuttingDown
from rpc import bearer, envelope, errors, logs
from rpc.context import Context, Exchange, Services
from rpc.envelope import Envelope, Item, Rejected
from rpc.errors import ErrorObject
from rpc.item_dispatch import Methods, Outcome, Response, Runner, dispatch_item
from rpc.limits import AnswerBudget
from rpc.registry import Method

_NAME_CHARS = 64
# Clients name sessions too, so nothing else may come into the log.
_SESSION = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{1,8})[A-Za-z0-9_-]*")


class Dispatcher:
    """Answers requests with the methods of a registry. Keeps no state between them."""

    def __init__(self, registry: Mapping[str, Method[Any]], services: Services) -> None:
        self._registry = registry
        self._services = services
        self._methods = Methods({name: self._runner(entry) for name, entry in registry.items()}, self._unknown)

    async def dispatch(self, body: bytes, authorization: Sequence[str], request_id: str) -> bytes | None:
        """The answer to `body`, or None if nothing in it asks for one.

        `authorization` are the request's Authorization headers. The calls of a batch start in its order and run at
        the same time. When this coroutine is cancelled, every call has been sent and stops waiting; cells run on.

        Raises InvalidToken when a header is bad and some call needs a token; nothing was run then.
        """
        try:
            received = envelope.read(body, self._services.settings.batch_items)
        except (errors.RpcError, LimitExceeded) as error:
            return msgspec.json.encode(self._refuse(Rejected(error, envelope.NULL), request_id))
        exchange = self._exchange(received, authorization, request_id)
        responses = await self._answer_all(received.items, exchange)
        if not responses:
            return None
        return msgspec.json.encode(responses if received.batch else responses[0])

    def _exchange(self, received: Envelope, authorization: Sequence[str], request_id: str) -> Exchange:
        budget = AnswerBudget(self._services.settings.batch_answer_bytes)
        if not authorization or not any(self._needs_token(item) for item in received.items):
            return Exchange(request_id, None, None, budget)
        token = bearer.parse(authorization)
        return Exchange(request_id, token, self._services.authenticator.check(token), budget)

    def _needs_token(self, item: Item | Rejected) -> bool:
        return isinstance(item, Item) and item.method in self._registry and self._registry[item.method].token

    async def _answer_all(self, items: Sequence[Item | Rejected], exchange: Exchange) -> list[Response]:
        contexts = [Context(self._services, exchange, isinstance(item, Item) and item.id is None) for item in items]
        answers = [
            asyncio.create_task(self._answer(item, context)) for item, context in zip(items, contexts, strict=True)
        ]
        try:
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
        logs.event(logging.INFO, "rpc.call", request_id=request_id, method="?", outcome=shown.code)
        return {"jsonrpc": "2.0", "error": shown.as_member(), "id": item.id}

    def _runner(self, entry: Method[Any]) -> Runner:
        async def run(context: Context, raw: Raw | None) -> Outcome:
            context.entered = True
            started = time.monotonic()
            with self._services.lifecycle.call():
                try:
                    answer = await self._call(entry, context, raw)
                except asyncio.CancelledError:
                    if not self._services.lifecycle.end_cut_call():
                        _log_call(entry.name, context, started, "gone")
                        raise
                    answer = ShuttingDown()
                except Exception as error:  # noqa: BLE001 (the border: every error becomes a response)
                    answer = error
            outcome = answer if isinstance(answer, Raw) else self._shown(answer, entry, context)
            _log_call(entry.name, context, started, outcome.code if isinstance(outcome, ErrorObject) else "ok")
            return outcome

        return run

    def _unknown(self, name: str) -> Runner:
        async def run(context: Context, _: Raw | None) -> Outcome:
            context.entered = True
            near = difflib.get_close_matches(name, self._registry, n=1) if len(name) <= _NAME_CHARS else []
            hint = f"; did you mean `{near[0]}`?" if near else ""
            outcome = errors.show(errors.MethodNotFound(f"`{name[:_NAME_CHARS]}`{hint}"), context.request_id)
            _log_call("?", context, time.monotonic(), outcome.code)
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
        result = await entry.handler(context, params)
        encoded = result.raw if isinstance(result, hop.Answer) else msgspec.json.encode(result)
        context.exchange.budget.take(len(encoded))
        return Raw(encoded)

    def _authorize(self, entry: Method[Any], exchange: Exchange, token: str | None) -> Claims:
        if exchange.claims is None:
            claims = self._services.authenticator.check(token)
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


def _log_call(name: str, context: Context, started: float, outcome: str | int) -> None:
    logs.event(
        logging.INFO,
        "rpc.call",
        request_id=context.request_id,
        method=name,
        session=_short_session(context.session_id),
        duration_ms=round((time.monotonic() - started) * 1000, 1),
        outcome=outcome,
    )


def _short_session(session_id: str) -> str | None:
    """What tells sessions apart comes after the id of the host, which all of them share. None if it is no such id."""
    found = _SESSION.fullmatch(session_id)
    return found[1] if found else None
