"""A JSON-RPC client as others would write it from the wire contract: its structs know nothing of the server's."""

import io
import itertools
import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import msgspec
from msgspec import Raw, Struct

from tests.e2e.service import Service

T = TypeVar("T")
Json = Any
# Shorter texts would be found in any log
_TELLING = 12


class Login(Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    session: str
    kernel: str
    expires_at: str
    scopes: list[str]
    closed_session: str | None = None


class Cell(Struct, frozen=True, forbid_unknown_fields=True):
    session: str
    cell: str
    code: str
    user: str
    user_id: str
    metadata: dict[str, Json]
    state: str
    end: str | None
    execution_count: int | None
    text: str
    outputs: list[dict[str, Json]]
    outputs_truncated: dict[str, int] | None
    user_expressions: dict[str, Json] | None
    payload: list[dict[str, Json]]
    cursor: int
    queued_at: str
    started_at: str | None
    finished_at: str | None
    exit: dict[str, Json] | None
    queued_seq: int
    silent: bool
    store_history: bool
    displays: dict[str, list[int]]


class Event(Struct, frozen=True):
    seq: int
    cell: str | None
    time: str
    type: str
    content: dict[str, Json]


class Page(Struct, frozen=True, forbid_unknown_fields=True):
    events: list[Event]
    cursor: int
    oldest: int
    kernel_state: str
    done: bool | None


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """The error object of an answer."""

    code: int
    message: str
    data: dict[str, Json] | None = None


class Response(Struct, frozen=True, forbid_unknown_fields=True):
    jsonrpc: str
    id: Json
    result: Raw = Raw(b"")
    error: Failure | None = None


class CallFailed(Exception):
    def __init__(self, method: str, failure: Failure) -> None:
        super().__init__(f"{method}: {failure.code} {failure.message} {failure.data}")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def response(self) -> Response:
        return msgspec.json.decode(self.body, type=Response)

    def responses(self) -> list[Response]:
        return msgspec.json.decode(self.body, type=list[Response])

    def failure(self) -> Failure:
        error = self.response().error
        assert error is not None, self.body
        return error


@dataclass(slots=True)
class Client:
    """One front end: a token, and the session that it was made for."""

    http: aiohttp.ClientSession
    service: Service
    token: str = ""
    session: str = ""
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def post(self, body: bytes | Json, **headers: str) -> Answer:
        """POST /rpc, as it stands if `body` is bytes. `headers` with `_` for `-`."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post(f"{self.service.url}/rpc", data=io.BytesIO(data), headers=sent) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())

    async def call(self, method: str, /, **params: Json) -> Json:
        """The result. Raises CallFailed."""
        return json.loads(await self._raw(method, params))

    async def fails(self, code: int, method: str, /, **params: Json) -> Failure:
        """The error, which must have `code`."""
        try:
            result = await self._raw(method, params)
        except CallFailed as error:
            if error.failure.code != code:
                raise
            return error.failure
        raise AssertionError(f"{method} {params}: expected {code}, got {result}")

    async def evaluate(self, code: str, **params: Json) -> Cell:
        if len(code) >= _TELLING:
            self.service.private.update(line.strip() for line in code.splitlines() if len(line.strip()) >= _TELLING)
        return await self._result(Cell, "evaluate", code=code, **params)

    async def cell(self, cell: str, **params: Json) -> Cell:
        return await self._result(Cell, "get_cell", cell=cell, **params)

    async def poll(self, cursor: int = 0, **params: Json) -> Page:
        return await self._result(Page, "poll_output", cursor=cursor, **params)

    async def done(self, cell: str, cursor: int = 0) -> list[Event]:
        """All events of one cell from `cursor` to its end."""
        events: list[Event] = []
        while True:
            page = await self.poll(cursor, cell=cell, wait=60)
            events += page.events
            cursor = page.cursor
            if page.done:
                return events

    async def until(self, type: str, *, cursor: int = 0, **content: Json) -> Event:
        """The first event after `cursor` of this type whose content has these members."""
        while True:
            page = await self.poll(cursor, wait=60)
            for event in page.events:
                if event.type == type and content.items() <= event.content.items():
                    return event
            assert page.events, f"no {type} {content}"
            cursor = page.cursor

    async def log_in(self, username: str = "admin", password: str | None = None, **params: Json) -> "Client":
        """Another front end."""
        anybody = Client(self.http, self.service)
        secret = self.service.password if password is None else password
        self.service.private.add(secret)
        login = await anybody._result(Login, "login", username=username, password=secret, **params)
        self.service.private.add(login.token)
        return Client(self.http, self.service, login.token, login.session)

    async def _result(self, kind: type[T], method: str, /, **params: Json) -> T:
        return msgspec.json.decode(await self._raw(method, params), type=kind)

    async def _raw(self, method: str, params: dict[str, Json]) -> bytes:
        number = next(self._numbers)
        answer = await self.post({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        assert answer.status == 200, (answer.status, answer.body)
        response = answer.response()
        assert (response.jsonrpc, response.id) == ("2.0", number)
        if response.error is not None:
            assert not bytes(response.result)
            raise CallFailed(method, response.error)
        assert bytes(response.result)
        return bytes(response.result)
