"""Request objects, taken from the body of an HTTP request or a WebSocket message. JSON-RPC 2.0, sections 4 and 6."""

import contextlib
import functools
import re
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct, defstruct, structs

from kernel_bridge.errors import LimitExceeded
from rpc import json_text
from rpc.errors import InvalidRequest, ParseError

NULL = Raw(b"null")
_BATCH = re.compile(rb"[ \t\r\n]*\[")
_OBJECT = re.compile(rb"[ \t\r\n]*\{")
_NUMBER = b"-0123456789"
_PARAMS_KINDS = (b"{", b"[", b"n", b"")  # null is as good as absent


@dataclass(frozen=True, slots=True)
class Item:
    """A request object that is well formed. `id` is echoed as it stands; None: a notification."""

    method: str
    params: Raw | None
    id: Raw | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """One that is not; `id` is the readable one, or null."""

    error: Exception
    id: Raw


@dataclass(frozen=True, slots=True)
class Envelope:
    items: list[Item | Rejected]
    batch: bool


_ABSENT = Raw(b"")


class _Members(Struct):
    # Others are ignored: some clients add members of their own.
    jsonrpc: Raw = _ABSENT
    method: Raw = _ABSENT
    params: Raw = _ABSENT
    id: Raw = _ABSENT


@functools.cache
def _batches(most: int) -> msgspec.json.Decoder[Struct]:
    """Reads the first `most` items of an array and skips the others: a million of them cost no memory then."""
    fields = [(f"item_{n}", Raw, _ABSENT) for n in range(most)]
    return msgspec.json.Decoder(defstruct("Batch", fields, array_like=True))


_members = msgspec.json.Decoder(_Members)
_string = msgspec.json.Decoder(str)
_anything = msgspec.json.Decoder()


def read(body: bytes, batch_items: int) -> Envelope:
    """The request objects in `body`, in their order.

    An item that is no request object is Rejected by itself. Raises: ParseError if the body is no JSON,
    InvalidRequest for an empty batch, LimitExceeded for one of more than `batch_items`.
    """
    bad_byte = json_text.invalid_utf8(body)
    if bad_byte is not None:
        raise ParseError(f"the body is not UTF-8 (byte {bad_byte})")
    try:
        if not _BATCH.match(body):
            return Envelope([_item(body)], batch=False)
        decoded = _batches(batch_items + 1).decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ParseError(json_text.explain(body, error)) from None
    raws = [text for raw in structs.astuple(decoded) if (text := bytes(raw))]
    if not raws:
        raise InvalidRequest("a batch has at least one request object")
    if len(raws) > batch_items:
        raise LimitExceeded("batch_items", batch_items, f"a batch has at most {batch_items} request objects")
    return Envelope([_item(raw) for raw in raws], batch=True)


def _item(text: bytes) -> Item | Rejected:
    """Raises msgspec.DecodeError and RecursionError if `text` is no JSON."""
    if not _OBJECT.match(text):
        with contextlib.suppress(msgspec.ValidationError):  # JSON, only too large a number for Python
            _anything.decode(text)
        return Rejected(InvalidRequest(f"expected a request object, got {json_text.describe(text.strip())}"), NULL)
    members = _members.decode(text)
    request_id = bytes(members.id)
    if request_id and not _is_id(request_id):
        return Rejected(InvalidRequest("`id`: expected a string, a number or null"), NULL)
    try:
        return _request(members)
    except InvalidRequest as error:
        return Rejected(error, members.id if request_id else NULL)


def _request(members: _Members) -> Item:
    if _text(members.jsonrpc) != "2.0":
        raise InvalidRequest('`jsonrpc`: expected "2.0"')
    method = _text(members.method)
    if method is None:
        raise InvalidRequest("`method`: expected a string")
    kind = bytes(members.params)[:1]
    if kind not in _PARAMS_KINDS:
        raise InvalidRequest("`params`: expected an object or an array")
    params = members.params if kind in (b"{", b"[") else None
    return Item(method, params, members.id if bytes(members.id) else None)


def _is_id(raw: bytes) -> bool:
    return raw == b"null" or raw[:1] == b'"' or raw[:1] in _NUMBER


def _text(raw: Raw) -> str | None:
    """The string, or None if it is something else."""
    return _string.decode(raw) if bytes(raw)[:1] == b'"' else None
