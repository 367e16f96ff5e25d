"""Which bodies are requests, and in which words others are refused."""

import json

import pytest

from kernel_bridge.errors import LimitExceeded
from rpc import envelope
from rpc.envelope import Item, Rejected
from rpc.errors import InvalidRequest, ParseError


def one(body: bytes) -> Item | Rejected:
    received = envelope.read(body, 100)
    assert not received.batch
    return received.items[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b" \r\n\t", "the body is empty"),
        (b'{"jsonrpc": "2.0"', "the text ends too early (byte 17)"),
        (b'{"jsonrpc": "2.0", "method": }', "invalid character (byte 29)"),
        (b"{'a': 1}", "keys must be strings (byte 1)"),
        (b'{"id": 1} x', "trailing characters (byte 1"),
        (b"[1,]", "trailing comma in array (byte 3)"),
        (b"NaN", "NaN and Infinity are no JSON numbers (byte 0)"),
        (b'{"params": [NaN]}', "NaN and Infinity are no JSON numbers (byte 12)"),
        (b'{"params": [-Infinity]}', "NaN and Infinity are no JSON numbers"),
        (b'{"params": [Infinity]}', "NaN and Infinity are no JSON numbers (byte 12)"),
        (b'{"params": ["NaN", }', "invalid character (byte 19)"),
        (b'{"params": ["\\ud800"]}', "half of a surrogate pair stands alone in a string (byte 13)"),
        (b'{"params": ["\\ud83d\\ude00 \\\\ud800 \\n \\udc00"]}', "stands alone in a string (byte 37)"),
        (b'[{"params": ["\\ud800x"]}]', "half of a surrogate pair stands alone in a string (byte 14)"),
        (b'{"method": "\xff"}', "the body is not UTF-8 (byte 12)"),
        (b'{"method": "\xed\xa0\x80"}', "the body is not UTF-8 (byte 12)"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"params": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested too deeply"),
        (b"[" * 10_000 + b"]" * 10_000, "nested too deeply"),
        (b'{"id": 01}', "invalid number (byte 8)"),
    ],
)
def test_no_json(body: bytes, words: str) -> None:
    with pytest.raises(ParseError) as caught:
        envelope.read(body, 100)
    assert words in str(caught.value)


def test_a_long_text_of_escapes_is_explained() -> None:
    with pytest.raises(ParseError, match="stands alone"):
        envelope.read(b'["' + b"\\u0041\\n" * 100_000 + b'\\ud800"]', 100)


@pytest.mark.parametrize(
    "request_id", ["1", "-1", "1.50", "1e2", "1e400", "9" * 5000, '"x"', '"\\u0078"', '""', "null", '"😀"', "-0"]
)
def test_an_id_stays_byte_for_byte(request_id: str) -> None:
    item = one(f'{{"jsonrpc":"2.0","method":"m","id" :  {request_id}  }}'.encode())
    assert isinstance(item, Item)
    assert item.id is not None
    assert bytes(item.id) == request_id.encode()


@pytest.mark.parametrize("request_id", ["true", "false", "{}", "[]", "[1]", '{"a": 1}'])
def test_other_ids_are_refused_with_null(request_id: str) -> None:
    item = one(f'{{"jsonrpc":"2.0","method":"m","id":{request_id}}}'.encode())
    assert isinstance(item, Rejected)
    assert bytes(item.id) == b"null"
    assert str(item.error) == "`id`: expected a string, a number or null"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ('"method": "m"', '`jsonrpc`: expected "2.0"'),
        ('"jsonrpc": 2.0, "method": "m"', '`jsonrpc`: expected "2.0"'),
        ('"jsonrpc": "1.0", "method": "m"', '`jsonrpc`: expected "2.0"'),
        ('"jsonrpc": "2.0"', "`method`: expected a string"),
        ('"jsonrpc": "2.0", "method": 1', "`method`: expected a string"),
        ('"jsonrpc": "2.0", "method": null', "`method`: expected a string"),
        ('"jsonrpc": "2.0", "method": "m", "params": "bar"', "`params`: expected an object or an array"),
        ('"jsonrpc": "2.0", "method": "m", "params": 1', "`params`: expected an object or an array"),
        ('"jsonrpc": "2.0", "method": "m", "params": true', "`params`: expected an object or an array"),
    ],
)
def test_a_readable_id_is_kept_when_the_rest_is_wrong(members: str, words: str) -> None:
    item = one(f'{{"id": "i", {members}}}'.encode())
    assert isinstance(item, Rejected)
    assert isinstance(item.error, InvalidRequest)
    assert (bytes(item.id), str(item.error)) == (b'"i"', words)


@pytest.mark.parametrize("body", ["1", '"x"', "null", "true"])
def test_a_request_is_an_object(body: str) -> None:
    item = one(body.encode())
    assert isinstance(item, Rejected)
    assert "expected a request object" in str(item.error)
    assert bytes(item.id) == b"null"


def test_absent_and_null() -> None:
    item = one(b'{"jsonrpc": "2.0", "method": "m", "params": null, "extra": [1]}')
    assert item == Item("m", None, None)
    item = one(b'{"jsonrpc": "2.0", "method": "m", "id": null}')
    assert isinstance(item, Item)
    assert item.id is not None


def test_items_are_judged_one_by_one() -> None:
    received = envelope.read(b' [1, {"jsonrpc":"2.0","method":"m"}, [], {"id": 7}]', 100)
    assert received.batch
    kinds = [type(item) for item in received.items]
    assert kinds == [Rejected, Item, Rejected, Rejected]


def test_empty_and_too_long_batches() -> None:
    with pytest.raises(InvalidRequest, match="at least one"):
        envelope.read(b"[]", 100)
    assert len(envelope.read(json.dumps([1] * 3).encode(), 3).items) == 3
    with pytest.raises(LimitExceeded) as caught:
        envelope.read(json.dumps([1] * 4).encode(), 3)
    assert (caught.value.limit, caught.value.value) == ("batch_items", 3)
