"""One stored event: the line in the log that is also the API's event, byte for byte.

    {"seq":7,"cell":"c1","time":"2026-11-22T16:40:30.123Z","type":"stream","content":{...}}

and, only where they apply, `"buffers":["base64", ...]`, `"late":true` and `"repaired":true` behind the content. The
header stands in front, in this order, so that a reader finds number, cell and type without parsing the content, and
so that nothing in a content can pass for a header.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from kernel_bridge.events import NewEvent

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER = re.compile(
    rb'\{"seq":([1-9][0-9]{0,17}),"cell":(?:null|"([A-Za-z0-9_.-]{1,64})"),'
    rb'"time":"([0-9TZ:.+-]{20,32})","type":"([A-Za-z0-9_.-]{1,64})","content":'
)


class Header(NamedTuple):
    """What stands in front of an event's content."""

    seq: int
    cell: str | None
    time: str
    type: str


class _Shape(Struct):
    seq: int
    content: Raw


_SHAPE = msgspec.json.Decoder(_Shape)


def encode(seq: int, time: str, event: NewEvent) -> bytes:
    """The line of `event`, with its newline.

    Raises:
        ValueError: cell or type is not made of 1 to 64 letters, digits and `_.-`.
    """
    tail = _tail(event) if event.buffers or event.late or event.repaired else b""
    head = b'{"seq":%d,"cell":%b,"time":"%b","type":%b,"content":'
    start = head % (seq, _cell(event.cell), time.encode(), _word(event.type))
    return b"".join((start, event.content, tail, b"}\n"))  # copies a large content once, `%` several times


def check(event: NewEvent) -> None:
    """Raises ValueError when encode() would."""
    _cell(event.cell)
    _word(event.type)


def cell_filter(cell: str | None) -> bytes:
    """What follows the number in the events of `cell` (None: those of no cell)."""
    return b',"cell":%b,"time":' % _cell(cell)


def parse_header(line: bytes, at: int = 0) -> Header | None:
    """The header of the line that begins at offset `at` of `line`; None if no event begins there."""
    match = _HEADER.match(line, at)
    if match is None:
        return None
    seq, cell, time, type_ = match.groups()
    return Header(int(seq), cell.decode() if cell is not None else None, time.decode(), type_.decode())


def typed_lines(block: bytes, type: str) -> Iterator[tuple[int, bytes]]:
    """The events of a type in a block of whole lines: their seq and JSON, without the newline. Skips along by searching
    for the type, which costs far less than looking at each line."""
    sought = b'Z","type":%b,"content":{' % _word(type)
    at = block.find(sought)
    while at >= 0:
        begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
        header = parse_header(block, begin)
        if header is not None and header.type == type and is_whole(block[begin:end]):
            yield header.seq, block[begin:end]
        at = block.find(sought, end)


def is_whole(line: bytes) -> bool:
    """Is `line` (without its newline) one JSON object in valid UTF-8? A damaged disk must not spoil a whole page."""
    try:
        line.decode()
        _SHAPE.decode(line)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return False
    return True


def _tail(event: NewEvent) -> bytes:
    parts: list[bytes] = []
    if event.buffers:
        parts.append(b',"buffers":["%b"]' % b'","'.join(map(b64encode, event.buffers)))
    if event.late:
        parts.append(b',"late":true')
    if event.repaired:
        parts.append(b',"repaired":true')
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _word(word: str) -> bytes:
    if not _WORD.fullmatch(word):
        raise ValueError("cell and type of an event are 1 to 64 letters, digits and _.-")
    return b'"%b"' % word.encode()


def _cell(cell: str | None) -> bytes:
    return b"null" if cell is None else _word(cell)
