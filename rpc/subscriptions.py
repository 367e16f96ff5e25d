"""Subscriptions of one WebSocket: each is a cursor, whose next page is read when the last one was sent."""

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field

import msgspec
from msgspec import structs

from auth.errors import InvalidToken
from kernel_bridge import hop
from kernel_bridge.errors import HostUnavailable, LimitExceeded, ShuttingDown
from rpc import errors, logs
from rpc.context import Context, Services
from rpc.errors import InvalidParams
from rpc.messages import SubscribeParams, SubscriptionEnded
from rpc.outlet import Outlet
from rpc.shared_polls import PageText, SharedPolls

POLL_S = 25.0
"""how long the host is asked to wait for events before it is asked again"""
PAGE_EVENTS = 1000
HOST_AWAY_S = 60.0
"""a subscription outlives a host that is away for this long, at least"""
HOST_RETRY_S = 0.5


@dataclass(slots=True)
class Subscriptions:
    """What all WebSockets of a front share: polls, and how many subscriptions each user has."""

    services: Services
    polls: SharedPolls = field(init=False)
    _of_users: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        self.polls = SharedPolls(self.services.bridge, self.services.settings.call_s)

    @property
    def count(self) -> int:
        """Subscriptions of all users."""
        return self._of_users.total()

    def enter(self, user_id: str) -> None:
        """Count one more. Raises LimitExceeded."""
        limit = self.services.settings.ws_subscriptions
        if self._of_users[user_id] >= limit:
            raise LimitExceeded("ws_subscriptions", limit, f"one user may have {limit} subscriptions")
        self._of_users[user_id] += 1

    def leave(self, user_id: str) -> None:
        self._of_users[user_id] -= 1
        if not self._of_users[user_id]:
            del self._of_users[user_id]


@dataclass(slots=True)
class Subscription:
    """One reader of a session's log. `question.cursor` is the last seq sent."""

    id: int
    token: str
    question: hop.PollOutput
    opened_by: str
    """request id of the message that asked for it; its answer goes first"""
    void: "asyncio.Future[Exception]"
    """done when its token does not count any more"""
    task: "asyncio.Task[None] | None" = None


class OwnSubscriptions:
    """Those of one WebSocket. `close` ends them all."""

    def __init__(self, shared: Subscriptions, outlet: Outlet, request_id: str) -> None:
        self._shared = shared
        self._authenticator = shared.services.authenticator
        self._outlet = outlet
        self._request_id = request_id
        self._numbers = itertools.count(1)
        self._table: dict[int, Subscription] = {}

    def __len__(self) -> int:
        return len(self._table)

    async def open(self, context: Context, params: SubscribeParams) -> Subscription:
        """A subscription that sends nothing before `begin`.

        Raises LimitExceeded, and what poll_output raises for such a session, cursor and cell.
        """
        question = hop.PollOutput(
            caller=context.caller,
            request_id=context.request_id,
            session=context.session(params.session),
            cursor=params.cursor,
            cell=params.cell,
            wait=0.0,
            limit=1,
            max_bytes=1024,
        )
        self._shared.enter(question.caller.user_id)
        opened = False
        try:
            await context.ask(question)
            settings = self._shared.services.settings
            # Without a request id: those who ask the same share one question.
            polled = structs.replace(
                question, request_id="", wait=POLL_S, limit=PAGE_EVENTS, max_bytes=settings.ws_page_bytes
            )
            void = asyncio.get_running_loop().create_future()
            made = Subscription(next(self._numbers), context.token or "", polled, context.request_id, void)
            self._table[made.id] = made
            opened = True
        finally:
            if not opened:
                self._shared.leave(question.caller.user_id)
        return made

    def begin(self, opened_by: str) -> None:
        """Let those that message `opened_by` has opened send their pages."""
        for subscription in self._table.values():
            if subscription.task is None and subscription.opened_by == opened_by:
                subscription.task = asyncio.create_task(self._run(subscription))

    async def end(self, number: int) -> int:
        """End one; the cursor behind the last page sent: nothing follows. Raises InvalidParams."""
        subscription = self._table.get(number)
        if subscription is None:
            raise InvalidParams("subscription", "the id of a subscription of this WebSocket", str(number))
        await self._stop([subscription])
        return subscription.question.cursor

    async def close(self) -> None:
        """End all of them, without a word. Idempotent."""
        await self._stop(list(self._table.values()))

    def renew(self, old: str, new: str) -> None:
        """A token was refreshed: its subscriptions go on with the new one."""
        for subscription in self._table.values():
            if subscription.token == old:
                subscription.token = new

    def check_tokens(self) -> None:
        """End those whose token has expired or was revoked; their clients are told."""
        bad: dict[str, InvalidToken | None] = {}
        for subscription in self._table.values():
            token = subscription.token
            if token not in bad:
                bad[token] = self._fault_of(token)
            error = bad[token]
            if error is not None and not subscription.void.done():
                subscription.void.set_result(error)

    def _fault_of(self, token: str) -> InvalidToken | None:
        try:
            self._authenticator.check(token)
        except InvalidToken as error:
            return error
        return None

    async def _stop(self, subscriptions: list[Subscription]) -> None:
        tasks = [subscription.task for subscription in subscriptions if subscription.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for subscription in subscriptions:
            self._forget(subscription)

    def _forget(self, subscription: Subscription) -> None:
        if self._table.pop(subscription.id, None) is not None:
            self._shared.leave(subscription.question.caller.user_id)

    async def _run(self, subscription: Subscription) -> None:
        try:
            await self._send_pages(subscription)
        except ConnectionError:
            pass  # the WebSocket is gone, which its owner learns too
        except Exception as error:  # noqa: BLE001 (the border: every error becomes a notification)
            if not errors.is_known(error):
                logs.failure(error, request_id=self._request_id, method="subscribe")
            await self._send_end(subscription, error)
        finally:
            self._forget(subscription)

    async def _send_end(self, subscription: Subscription, error: Exception) -> None:
        asked = subscription.question
        shown = errors.show(error, self._request_id).as_member()
        ended = SubscriptionEnded(subscription.id, asked.session, asked.cursor, shown)
        try:
            await self._outlet.send(_notification("subscription_ended", msgspec.json.encode(ended)))
        except ConnectionError:
            return

    async def _send_pages(self, subscription: Subscription) -> None:
        """Return when the subscription's cell has ended and all was sent. Raises what ends it."""
        done = False
        while not done:
            done = await self._send_next(subscription)

    async def _send_next(self, subscription: Subscription) -> bool:
        """Whether it was the last one. No page outlives this call."""
        page = await self._read(subscription, POLL_S)
        if not self._outlet.has_room(page.raw):
            del page  # the cursor stands still, and the log keeps what comes
            async with self._outlet.line:
                await self._outlet.room()
                page = await self._read(subscription, 0.0)
                await self._send_page(subscription, page)
        else:
            await self._send_page(subscription, page)
        return page.done

    async def _send_page(self, subscription: Subscription, page: PageText) -> None:
        def frame() -> bytes:
            if subscription.void.done():
                raise subscription.void.result()
            self._authenticator.check(subscription.token)
            subscription.question = structs.replace(subscription.question, cursor=page.cursor)
            return _output(subscription, page)

        if page.empty and not page.done:
            subscription.question = structs.replace(subscription.question, cursor=page.cursor)
        else:
            await self._outlet.send_page(page.raw, frame)

    async def _read(self, subscription: Subscription, wait_s: float) -> PageText:
        """The next page, once the host is there. Raises HostUnavailable when it was away for HOST_AWAY_S."""
        clock = asyncio.get_running_loop().time
        question = structs.replace(subscription.question, wait=wait_s)
        until = clock() + POLL_S + HOST_AWAY_S
        while True:
            try:
                return await self._shared.polls.read(question, subscription.void)
            except (HostUnavailable, ShuttingDown):
                if clock() > until:
                    raise
            await asyncio.wait({subscription.void}, timeout=HOST_RETRY_S)


def _output(subscription: Subscription, page: PageText) -> bytes:
    """A page as poll_output answers it, two members before it; its events are those bytes that the host has stored."""
    head = msgspec.json.encode({"subscription": subscription.id, "session": subscription.question.session})
    return _notification("output", head[:-1] + b"," + page.raw[1:])


def _notification(method: str, params: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params)
