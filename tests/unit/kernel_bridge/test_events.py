import time
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from kernel_bridge.events import STREAM_BYTES, NewEvent, from_kernel, from_service
from kernel_bridge.mending import MAX_DEPTH, too_deep


def one(content: bytes, type: str = "display_data", **options: Any) -> NewEvent:
    (event,) = from_kernel(type, content, "c1", **options)
    assert event.cell == "c1"
    return event


@pytest.mark.parametrize(
    "content",
    [b'{"name":"stdout","text":"a\\u00e9\xc3\xa9\\ud83d\\ude00"}', b' { "a" : [1, 2.50, -0, null] } ', b"{}"],
)
def test_valid_content_is_taken_verbatim(content: bytes) -> None:
    event = one(content)
    assert event.content is content
    assert event.fields == msgspec.json.decode(content)
    assert not event.repaired


@pytest.mark.parametrize(
    ("content", "mended", "repaired"),
    [
        (b'{\n"a": 1\n}', b'{"a":1}', False),
        (b'{"a":"x\ny\x01"}', b'{"a":"x\\ny\\u0001"}', False),
        (b'{"a":"\xff"}', '{"a":"\ufffd"}'.encode(), True),
        (b'{"\xff":"\xed\xb3\xbf"}', '{"\ufffd":"\ufffd\ufffd\ufffd"}'.encode(), True),
        (b'{"a":"\\ud800"}', '{"a":"\ufffd"}'.encode(), True),
        (b'{"a":"\\ud83d\\ud83d\\ude00"}', '{"a":"\ufffd😀"}'.encode(), True),
        (b'{"a":[NaN,-Infinity,1e400,1.5]}', b'{"a":[null,null,null,1.5]}', True),
        (b'{"a":' + b"9" * 5000 + b"}", b'{"a":null}', True),
    ],
)
def test_mending(content: bytes, mended: bytes, repaired: bool) -> None:
    event = one(content)
    assert (event.content, event.repaired) == (mended, repaired)
    assert event.fields == msgspec.json.decode(mended)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b"null",
        b'{"a":1',
        b'{"a":tru}',
        b"\xff\xfe",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b'{"a":' * 50_000,
    ],
)
def test_what_cannot_be_mended_is_omitted(content: bytes) -> None:
    event = one(content, late=True)
    assert event.type == "omitted"
    assert event.fields == {"bytes": len(content), "mime": None}
    assert event.late


def test_depth() -> None:
    deepest = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert one(deepest).content is deepest
    many = msgspec.json.encode({"text/plain": "[{" * 1000, "list": [[]] * 500})
    assert one(many).content is many
    assert not too_deep(3, 0)
    assert too_deep([], 0)


def test_buffers_and_lateness_are_kept() -> None:
    event = one(b"{}", "comm_msg", buffers=(b"\x00\xff", b""), late=True)
    assert (event.buffers, event.late, event.size) == ((b"\x00\xff", b""), True, 4)


def test_an_event_above_the_limit_is_omitted_with_its_largest_mime_type() -> None:
    content = msgspec.json.encode({"data": {"text/plain": "x", "image/png": "y" * 500, "application/json": [1] * 20}})
    assert one(content, max_bytes=len(content)).content is content
    assert one(content, max_bytes=len(content) - 1).fields == {"bytes": len(content), "mime": "image/png"}
    assert one(b"{}", "comm_msg", buffers=(b"x" * 100,), max_bytes=99).fields == {"bytes": 102, "mime": None}


def test_a_long_stream_is_split_on_code_points() -> None:
    text = ("é😀x" * 9363) + "\r\n" + "tail" * 40_000
    content = msgspec.json.encode({"name": "stderr", "text": text})
    events = from_kernel("stream", content, "c1", late=True, max_bytes=1000)
    texts = [event.fields["text"] for event in events]
    assert "".join(texts) == text
    assert len(events) > 2
    for event in events:
        assert len(event.fields["text"].encode()) <= STREAM_BYTES
        assert event.fields["name"] == "stderr"
        assert event.late
        assert msgspec.json.decode(event.content) == event.fields
        assert not event.fields["text"].startswith("\n")


def test_carriage_return_and_line_feed_stay_together() -> None:
    text = "x" * (STREAM_BYTES - 1) + "\r\n" + "y"
    events = from_kernel("stream", msgspec.json.encode({"name": "stdout", "text": text}), None)
    assert [event.fields["text"] for event in events] == ["x" * (STREAM_BYTES - 1), "\r\ny"]


def test_a_stream_of_exactly_the_bound_is_one_event() -> None:
    content = msgspec.json.encode({"name": "stdout", "text": "\x01" * STREAM_BYTES})
    assert one(content, "stream").content is content


def test_a_forged_stream_is_not_multiplied() -> None:
    content = msgspec.json.encode({"name": "stdout", "text": "x" * 200_000, "more": "y" * 200_000})
    assert one(content, "stream").content is content
    assert one(content, "stream", max_bytes=300_000).type == "omitted"
    not_text = msgspec.json.encode({"name": "stdout", "text": ["x"] * 50_000})
    assert one(not_text, "stream").content is not_text


def test_twenty_megabytes_are_split_in_linear_time() -> None:
    text = "é\r\n" * 5_000_000
    begin = time.process_time()
    events = from_kernel("stream", msgspec.json.encode({"name": "stdout", "text": text}), "c1")
    assert time.process_time() - begin < 5
    assert sum(len(event.fields["text"]) for event in events) == len(text)


class Noted(Struct):
    text: str


def test_from_service() -> None:
    event = from_service("notice", Noted("good\nbye"), None)
    assert (event.type, event.cell, event.content) == ("notice", None, b'{"text":"good\\nbye"}')
    assert event.fields == {"text": "good\nbye"}
    assert from_service("notice", Noted("x\udcff"), None).fields == {"text": "x\ufffd"}


def test_from_service_refuses_what_readers_could_not_decode() -> None:
    deep: Any = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        from_service("cell", {"metadata": deep}, "c1")
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        from_service("cell", {"metadata": deep}, "c1")


@pytest.mark.parametrize(("levels", "type"), [(150, "display_data"), (300, "omitted")])
def test_a_long_event_is_looked_through_for_depth_as_well(levels: int, type: str) -> None:
    deep = b"[" * levels + b"]" * levels
    content = b'{"data":{"text/plain":"%b"},"metadata":{"deep":%b}}' % (b"x" * 100_000, deep)
    assert one(content).type == type
