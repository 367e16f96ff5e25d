"""Jupyter messages as they are on a WebSocket: the subprotocol v1.kernel.websocket.jupyter.org. Pure.

Source: Jupyter Server, "WebSocket wire protocols": a count of offsets and the offsets, 64 bits little-endian, then
channel, header, parent header, metadata and content, then buffers.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from bench.protocol import BenchFailed

SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
WORD = 8
PARTS = 5
"""channel, header, parent header, metadata, content"""


class Header(msgspec.Struct):
    msg_id: str = ""
    msg_type: str = ""


class Message(msgspec.Struct):
    channel: str
    msg_type: str
    parent_id: str
    content: bytes


_header = msgspec.json.Decoder(Header)


def encode(channel: str, header: bytes, content: bytes) -> bytes:
    parts = (channel.encode(), header, b"{}", b"{}", content)
    offsets = [WORD * (2 + len(parts))]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return b"".join([_word(len(offsets)), *map(_word, offsets), *parts])


def decode(frame: bytes) -> Message:
    """Raises BenchFailed."""
    offsets = [_number(frame, 1 + index) for index in range(_number(frame, 0))]
    parts: Sequence[bytes] = [frame[begin:end] for begin, end in pairwise(offsets)]
    if len(parts) < PARTS:
        raise BenchFailed(f"expected a message of {PARTS} parts over the WebSocket, got {len(parts)}")
    header, parent = _header.decode(parts[1]), _header.decode(parts[2])
    return Message(parts[0].decode(), header.msg_type, parent.msg_id, parts[4])


def _word(number: int) -> bytes:
    return number.to_bytes(WORD, "little")


def _number(frame: bytes, index: int) -> int:
    return int.from_bytes(frame[WORD * index : WORD * (index + 1)], "little")
