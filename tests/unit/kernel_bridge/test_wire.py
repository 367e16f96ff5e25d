"""The wire against jupyter_client's Session, the oracle."""

import hmac
from typing import Any

import msgspec
import pytest
from jupyter_client.session import Session

from kernel_bridge.errors import BadFrames, BadSignature
from kernel_bridge.wire import DELIMITER, Codec, Message

KEY = b"0123456789abcdef"


def oracle() -> Session:
    return Session(key=KEY, signature_scheme="hmac-sha256")


def deserialize(frames: list[bytes]) -> dict[str, Any]:
    session = oracle()
    _, parts = session.feed_identities(frames)
    return session.deserialize(parts)


def test_jupyter_client_reads_what_we_write() -> None:
    msg_id, frames = Codec(KEY, "mine").encode("execute_request", {"code": "'ŝ𝔸'"}, subshell_id="s1")
    message = deserialize(frames)
    assert message["header"]["msg_id"] == msg_id
    assert message["header"]["subshell_id"] == "s1"
    assert message["header"]["session"] == "mine"
    assert message["msg_type"] == "execute_request"
    assert message["content"] == {"code": "'ŝ𝔸'"}
    assert message["parent_header"] == {}


def test_we_read_what_jupyter_client_writes() -> None:
    session: Any = oracle()
    parent = session.msg("execute_request", {})
    made = session.msg("stream", {"name": "stdout", "text": "ŝ𝔸"}, parent=parent, metadata={"m": 1})
    frames = [b"kernel.stream", *session.serialize(made), b"buffer one", b"\x00\xff"]
    message = Codec(KEY, "mine").decode(frames)
    assert message.msg_type == "stream"
    assert message.parent_id == parent["header"]["msg_id"]
    assert msgspec.json.decode(message.content) == {"name": "stdout", "text": "ŝ𝔸"}
    assert msgspec.json.decode(message.metadata) == {"m": 1}
    assert message.buffers == (b"buffer one", b"\x00\xff")


def test_without_a_key_nothing_is_signed() -> None:
    codec = Codec(b"", "mine")
    _, frames = codec.encode("kernel_info_request", {})
    assert frames[1] == b""
    assert codec.decode(frames).msg_type == "kernel_info_request"


def test_ids_are_ours_or_new() -> None:
    codec = Codec(KEY, "mine")
    assert codec.encode("a", {}, msg_id="x-cell")[0] == "x-cell"
    ids = {codec.encode("a", {})[0] for _ in range(100)}
    assert len(ids) == 100
    assert all(number.startswith("q-") for number in ids)


@pytest.mark.parametrize("part", range(1, 6))
def test_every_part_is_signed(part: int) -> None:
    _, frames = Codec(KEY, "mine").encode("a", {"b": 1})
    frames[part] = frames[part] + b" "
    with pytest.raises(BadSignature):
        Codec(KEY, "mine").decode(frames)


@pytest.mark.parametrize("size", [1, 36, 63, 64, 65, 200])
def test_a_key_of_any_length_signs_as_hmac_does(size: int) -> None:
    key = bytes(range(1, size + 1))
    _, frames = Codec(key, "mine").encode("a", {"b": 1})
    signature, *parts = frames[1:]
    assert signature.decode() == hmac.new(key, b"".join(parts), "sha256").hexdigest()


def test_another_key_is_refused() -> None:
    _, frames = Codec(b"other", "mine").encode("a", {})
    with pytest.raises(BadSignature):
        Codec(KEY, "mine").decode(frames)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"no delimiter"],
        [DELIMITER],
        [DELIMITER, b"sig", b"{}", b"{}", b"{}"],
        [b"id", DELIMITER, b"sig", b"{}", b"{}", b"{}"],
    ],
)
def test_too_few_frames(frames: list[bytes]) -> None:
    with pytest.raises(BadFrames):
        Codec(KEY, "mine").decode(frames)


@pytest.mark.parametrize("header", [b"", b"[]", b"nonsense", b'{"msg_id": 7}', b'{"msg_id": "\xff"}', b"[" * 20_000])
def test_a_header_that_is_none(header: bytes) -> None:
    codec = Codec(b"", "mine")
    with pytest.raises(BadFrames):
        codec.decode([DELIMITER, b"", header, b"{}", b"{}", b"{}"])
    with pytest.raises(BadFrames):
        codec.decode([DELIMITER, b"", b"{}", header, b"{}", b"{}"])


def test_missing_members_are_empty() -> None:
    message = Codec(b"", "mine").decode([DELIMITER, b"", b"{}", b"{}", b"{}", b"content as it came"])
    assert message == Message("", "", "", b"content as it came", b"{}")
