"""Limits that the front itself keeps."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from auth.errors import InvalidToken
from kernel_bridge.errors import LimitExceeded
from rpc.errors import InvalidParams
from rpc.settings import RpcSettings


@dataclass(slots=True)
class OfUsers:
    """How much of something each user has right now, at most `limit`, which is the setting `name`."""

    name: str
    limit: int
    words: str
    _counts: dict[str, int] = field(default_factory=dict[str, int])

    def begin(self, user_id: str) -> None:
        """One more. Raises LimitExceeded."""
        count = self._counts.get(user_id, 0)
        if count >= self.limit:
            raise LimitExceeded(self.name, self.limit, self.words.format(self.limit))
        self._counts[user_id] = count + 1

    def end(self, user_id: str) -> None:
        count = self._counts[user_id] - 1
        if count:
            self._counts[user_id] = count
        else:
            del self._counts[user_id]

    @property
    def total(self) -> int:
        """Of all users."""
        return sum(self._counts.values())


class LongPolls:
    """The calls that wait right now: how many of each user, and with which token, so that they end with it."""

    def __init__(self, limit: int) -> None:
        self.users = OfUsers("long_polls", limit, "at most {} calls of one user may wait at once")
        self.held: dict[asyncio.Task[object], str] = {}
        """by the task of the call its token"""
        self.void: dict[asyncio.Task[object], InvalidToken] = {}
        """calls that are to end, and why"""

    def hold(self, user_id: str, wait_s: float, token: str = "") -> "Hold":
        """Count one call for as long as the block runs; a call that does not wait (`wait_s` 0) is free.

        The block raises LimitExceeded, and counts nothing, when the user has `limit` of them already; InvalidToken as
        soon as `end_void` finds that its token was revoked.
        """
        return Hold(self, user_id if wait_s > 0 else None, token)

    def end_void(self, check: Callable[[str], object]) -> None:
        """End the calls whose token was revoked: for those `check` raises InvalidToken. One that has expired meanwhile
        was good when the call was made, which is bounded: it gets its answer."""
        faults: dict[str, InvalidToken | None] = {}
        for task, token in tuple(self.held.items()):
            if token not in faults:
                faults[token] = _fault(check, token)
            error = faults[token]
            if error is not None and task not in self.void:
                self.void[task] = error
                task.cancel()

    @property
    def waiting(self) -> int:
        """Calls of all users that wait."""
        return self.users.total


def _fault(check: Callable[[str], object], token: str) -> InvalidToken | None:
    try:
        check(token)
    except InvalidToken as error:
        return None if error.reason == "expired" else error
    return None


# A class, as every call passes it: a generator behind `contextmanager` costs several times as much.
class Hold:
    """What LongPolls.hold returns."""

    __slots__ = ("_polls", "_task", "_token", "_user_id")

    def __init__(self, polls: LongPolls, user_id: str | None, token: str) -> None:
        self._polls = polls
        self._user_id = user_id
        self._token = token
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> None:
        if self._user_id is None:
            return
        self._polls.users.begin(self._user_id)
        self._task = asyncio.current_task() if self._token else None
        if self._task is not None:
            self._polls.held[self._task] = self._token

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if self._user_id is None:
            return
        self._polls.users.end(self._user_id)
        if self._task is None:
            return
        del self._polls.held[self._task]
        fault = self._polls.void.pop(self._task, None)
        # else somebody else ends the call too, the client or the drain
        if fault is not None and isinstance(error, asyncio.CancelledError) and self._task.uncancel() == 0:
            raise fault


@dataclass(slots=True)
class AnswerBudget:
    """What the results of one request may still take, so that a batch cannot fill the memory."""

    limit: int
    used: int = 0
    within: "AnswerBudget | None" = None
    """of all messages of one WebSocket: so much may wait for a client that does not read"""

    def take(self, size: int) -> None:
        """Count a result of `size` bytes. The first one is always within. Raises LimitExceeded."""
        if self.used and self.used + size > self.limit:
            raise LimitExceeded(
                "batch_answer_bytes",
                self.limit,
                f"the results of this batch take more than {self.limit} bytes: ask for this one by itself",
            )
        if self.within is not None:
            self.within.take(size)
        self.used += size

    def give_back(self) -> None:
        """The results were sent: they are no weight on what this one is within."""
        if self.within is not None:
            self.within.used -= self.used
        self.used = 0


def check_code(settings: RpcSettings, code: str, expressions: Mapping[str, str] | None = None) -> None:
    """Raise LimitExceeded when code and user expressions take more than `code_bytes` bytes of UTF-8."""
    texts = [code, *(expressions or {}), *(expressions or {}).values()]
    if sum(map(len, texts)) * 4 <= settings.code_bytes:
        return  # UTF-8 takes four bytes a code point at most
    if sum(len(text.encode()) for text in texts) > settings.code_bytes:
        raise LimitExceeded("code_bytes", settings.code_bytes, f"code may have {settings.code_bytes} bytes of UTF-8")


def check_metadata(settings: RpcSettings, metadata: Mapping[str, Any] | None) -> None:
    """Raise LimitExceeded for more than `metadata_bytes` of JSON, InvalidParams for what cannot reach the host."""
    if metadata is None:
        return
    check_object("metadata", metadata)
    size = len(msgspec.json.encode(metadata))
    if size > settings.metadata_bytes:
        raise LimitExceeded(
            "metadata_bytes", settings.metadata_bytes, f"metadata may have {settings.metadata_bytes} bytes of JSON"
        )


def check_object(member: str, value: Mapping[str, Any] | None) -> None:
    """Raise InvalidParams for an object in the member of this name that cannot reach the host."""
    if value is None:
        return
    try:
        # The hop is msgpack, which has no integers above 64 bits.
        msgspec.msgpack.encode(value)
    except OverflowError as error:
        raise InvalidParams(member, "integers of at most 64 bits") from error
    except RecursionError as error:
        raise InvalidParams(member, "an object of less nesting") from error
    if _depth(value) > _DEPTH:
        raise InvalidParams(member, f"at most {_DEPTH} levels of nesting")


# Far below what an encoder's recursion allows, whatever stack it is called from.
_DEPTH = 100


def _depth(value: object) -> int:
    """Levels of objects and arrays in `value`, counted without recursion."""
    depth = 0
    level = _parts([value])
    while level:
        depth += 1
        level = [part for container in level for part in _parts(container)]
    return depth


def _parts(container: Iterable[object] | Mapping[str, object]) -> list[Iterable[object]]:
    """The objects and arrays directly in `container`."""
    values = cast("Mapping[str, object]", container).values() if isinstance(container, Mapping) else container
    return [cast("Iterable[object]", value) for value in values if isinstance(value, dict | list)]
