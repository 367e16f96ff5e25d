import pytest

from bench.adapters import socket_frames
from bench.protocol import BenchFailed

HEADER = b'{"msg_id":"m1","msg_type":"execute_reply"}'


def test_offsets_are_little_endian_and_count_from_the_frame() -> None:
    frame = socket_frames.encode("shell", b"HH", b"CCC")
    words = [int.from_bytes(frame[8 * index : 8 * index + 8], "little") for index in range(7)]
    assert words == [6, 56, 61, 63, 65, 67, 70]
    assert frame[56:] == b"shellHH{}{}CCC"


def test_a_message_is_read_with_its_parent() -> None:
    parts = (b"iopub", HEADER, b'{"msg_id":"q7"}', b"{}", b'{"status":"ok"}', b"buffer")
    offsets = [8 * (2 + len(parts))]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    words = [len(offsets), *offsets]
    found = socket_frames.decode(b"".join([*(word.to_bytes(8, "little") for word in words), *parts]))
    assert (found.channel, found.msg_type, found.parent_id) == ("iopub", "execute_reply", "q7")
    assert found.content == b'{"status":"ok"}'


def test_what_was_encoded_is_read() -> None:
    found = socket_frames.decode(socket_frames.encode("shell", HEADER, b"{}"))
    assert (found.channel, found.msg_type, found.parent_id) == ("shell", "execute_reply", "")


def test_a_frame_of_too_few_parts_is_refused() -> None:
    words = (3).to_bytes(8, "little") + b"".join(number.to_bytes(8, "little") for number in (32, 33, 34)) + b"ab"
    with pytest.raises(BenchFailed, match="got 2"):
        socket_frames.decode(words)
