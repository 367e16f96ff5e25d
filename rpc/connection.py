"""One WebSocket: calls in, answers and notifications out, until either end closes it. RFC 6455."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from rpc import envelope, errors, logs
from rpc.context import Context, Exchange, Services
from rpc.dispatch import Dispatcher
from rpc.limits import AnswerBudget
from rpc.liveness import Liveness
from rpc.messages import Subscribed, SubscribeParams
from rpc.outlet import Outlet
from rpc.subscriptions import OwnSubscriptions, Subscriptions

TICK_S = 1.0
"""how often tokens and the client's life are looked at: revocations too are read once a second"""


@dataclass(frozen=True, slots=True)
class Front:
    """What all WebSockets of a front share."""

    services: Services
    dispatcher: Dispatcher
    subscriptions: Subscriptions


@dataclass(frozen=True, slots=True)
class Line:
    """A WebSocket after its handshake, with what is below it."""

    socket: web.WebSocketResponse
    writer: AbstractStreamWriter
    transport: asyncio.Transport
    address: str = ""
    """the client's IP address; empty if it has none"""


@dataclass(slots=True, eq=False)
class _Message:
    """A message that is under way: read, and not yet answered."""

    size: int
    request_id: str
    budget: AnswerBudget
    sent: asyncio.Event = field(default_factory=asyncio.Event)


class Connection:
    """Serves one client. `run` returns when it has ended; then nothing of it is left, but cells run on.

    What a client can make it hold is bounded: messages under way by number and size, results by
    `batch_answer_bytes`, pages by the outlet. While there is no room for a message, none is read.
    """

    def __init__(self, front: Front, line: Line, token: str | None, request_id: str) -> None:
        """`token` is that of the handshake's Authorization header; its validity is looked at call by call."""
        self._front = front
        self._settings = front.services.settings
        self._socket = line.socket
        self._transport = line.transport
        self._address = line.address
        self._outlet = Outlet(line.socket, line.writer, self._settings.ws_held_bytes)
        self._liveness = Liveness(self._outlet, line.transport, self._settings.ws_ping_s, self._settings.ws_silence_s)
        self._subscriptions = OwnSubscriptions(front.subscriptions, self._outlet, request_id)
        self._token = token
        self._request_id = request_id
        self._numbers = itertools.count(1)
        self._stop = asyncio.Event()
        self._messages: dict[asyncio.Task[None], _Message] = {}
        self._ended_one = asyncio.Event()
        self._results = AnswerBudget(self._settings.batch_answer_bytes)
        self._closing = (WSCloseCode.OK, b"")

    @property
    def held_bytes(self) -> int:
        """Pages that wait for this client to read."""
        return self._outlet.held

    @property
    def unsent_bytes(self) -> int:
        """What the transport holds for it."""
        return self._transport.get_write_buffer_size()

    def stop(self) -> None:
        """Read no more, answer what is under way, close with 1001: the front ends."""
        self._stop.set()

    def adopt(self, token: str, instead_of: str | None) -> None:
        if instead_of in (None, self._token):
            self._token = token
        if instead_of is not None:
            self._subscriptions.renew(instead_of, token)

    async def subscribe(self, context: Context, params: SubscribeParams) -> Subscribed:
        made = await self._subscriptions.open(context, params)
        return Subscribed(made.id, made.question.session, made.question.cursor)

    async def unsubscribe(self, subscription: int) -> int:
        return await self._subscriptions.end(subscription)

    async def run(self) -> None:
        """Serve until either end closes."""
        started = time.monotonic()
        logs.event(logging.INFO, "ws.opened", request_id=self._request_id)
        try:
            await self._serve()
        finally:
            # Whatever the client did not take by now is discarded, else the transport would keep it for ever.
            self._transport.abort()
            code = self._socket.close_code
            duration_ms = round((time.monotonic() - started) * 1000, 1)
            logs.event(logging.INFO, "ws.closed", request_id=self._request_id, code=code, duration_ms=duration_ms)

    async def _serve(self) -> None:
        watching = asyncio.create_task(self._watch())
        try:
            reading = asyncio.create_task(self._read())
            stopping = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait({reading, stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
                if self._stop.is_set():
                    self._closing = (WSCloseCode.GOING_AWAY, b"the service stops")
            finally:
                await _end(reading, stopping)
            await self._subscriptions.close()
            if self._stop.is_set() and self._messages and not watching.done():
                # `Lifecycle.drain` cuts calls that take too long
                answered = asyncio.create_task(self._all_answered())
                await asyncio.wait({answered, watching}, return_when=asyncio.FIRST_COMPLETED)
                await _end(answered)
            if not watching.done():
                await self._close()
        finally:
            await _end(watching)
            await self._abandon()

    async def _close(self) -> None:
        code, words = self._closing
        try:
            async with asyncio.timeout(self._settings.ws_close_s):
                await self._socket.close(code=code, message=words)
        except TimeoutError:
            return  # the transport is cut next

    async def _abandon(self) -> None:
        """End the waits of what is under way, once its calls have been sent."""
        for message in tuple(self._messages.values()):
            await message.sent.wait()
        await _end(*self._messages)
        await self._subscriptions.close()

    async def _all_answered(self) -> None:
        if self._messages:
            await asyncio.wait(tuple(self._messages))

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Take messages in their order, until the WebSocket ends or a message is none of ours."""
        with contextlib.suppress(ConnectionError):
            while await self._take(await self._receive()):
                while not self._has_room():
                    self._liveness.held_back = True
                    self._ended_one.clear()
                    await self._ended_one.wait()
                self._liveness.held_back = False

    async def _receive(self) -> WSMessage:
        message: WSMessage = await self._socket.receive()
        self._liveness.heard()
        return message

    def _has_room(self) -> bool:
        size = sum(message.size for message in self._messages.values())
        return len(self._messages) < self._settings.ws_messages and size < self._settings.body_bytes

    async def _take(self, message: WSMessage) -> bool:
        """Whether to read on."""
        match message.type:
            case WSMsgType.TEXT:
                text: str = message.data
                await self._begin(text.encode())
            case WSMsgType.PING:
                await self._socket.pong(message.data)
            case WSMsgType.PONG:
                pass
            case WSMsgType.BINARY:
                self._closing = (WSCloseCode.UNSUPPORTED_DATA, b"send text frames: binary ones are not JSON-RPC")
                return False
            case _:
                return False
        return True

    async def _begin(self, body: bytes) -> None:
        """Start to answer one message; return when its calls have been sent, so that none overtakes another."""
        budget = AnswerBudget(self._settings.batch_answer_bytes, within=self._results)
        message = _Message(len(body), f"{self._request_id}-{next(self._numbers)}", budget)
        self._messages[asyncio.create_task(self._answer(body, message))] = message
        await message.sent.wait()

    async def _answer(self, body: bytes, message: _Message) -> None:
        exchange = Exchange(
            message.request_id, self._token, None, message.budget, self, message.sent, address=self._address
        )
        try:
            answer = await self._dispatched(body, exchange)
            if answer is not None:
                await self._outlet.send(answer)
            self._subscriptions.begin(message.request_id)
        except ConnectionError:
            return  # the client is gone, which the reading sees too
        finally:
            message.sent.set()
            message.budget.give_back()
            task = asyncio.current_task()
            if task is not None:
                self._messages.pop(task, None)
            self._ended_one.set()

    async def _dispatched(self, body: bytes, exchange: Exchange) -> bytes | None:
        try:
            return await self._front.dispatcher.dispatch_message(body, exchange)
        except Exception as error:  # noqa: BLE001 (the border: a defect of ours is logged and not shown)
            logs.failure(error, request_id=exchange.request_id, method="?")
            shown = errors.show(error, exchange.request_id).as_member()
            return msgspec.json.encode({"jsonrpc": "2.0", "error": shown, "id": envelope.NULL})

    # -- watching ------------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Return when the client is gone without a word. Meanwhile ping it, and end what no token covers any more."""
        while True:
            await asyncio.sleep(min(TICK_S, self._settings.ws_ping_s))
            self._subscriptions.check_tokens()
            if self._liveness.is_gone():
                logs.event(logging.INFO, "ws.silent", request_id=self._request_id)
                return
            if self._liveness.wants_ping():
                await self._bounded(self._socket.ping())

    async def _bounded(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await sending
        except (TimeoutError, ConnectionError):
            return  # its silence will tell


async def _end(*tasks: "asyncio.Task[object]") -> None:
    """Cancel tasks and wait for their end. Raises what one of them raised."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
