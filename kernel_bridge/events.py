"""Events on their way into a session's log.

An event is checked once, when it comes in; from then on its bytes are passed on as they are.
"""

from typing import Any, cast

import msgspec
from msgspec import Struct

from kernel_bridge.event_contents import Omitted
from kernel_bridge.mending import Unmendable, is_deep, mend, mended
from kernel_bridge.utf8 import pieces

MAX_EVENT_BYTES = 16 << 20
STREAM_BYTES = 64 << 10
"""longer stream texts are stored as several events"""

_STREAM_REST_BYTES = 4096  # what may stand beside the text of a stream that is split: it is repeated in each piece

_OBJECT = msgspec.json.Decoder(dict[str, Any])


class NewEvent(Struct, frozen=True):
    """An event without its number and time. `content` goes into the log verbatim: one JSON object on one line, in
    valid UTF-8; `fields` is the same, decoded once."""

    type: str
    cell: str | None
    content: bytes
    fields: dict[str, Any]
    buffers: tuple[bytes, ...] = ()
    late: bool = False
    repaired: bool = False

    @property
    def size(self) -> int:
        """Bytes of content and buffers."""
        return len(self.content) + sum(map(len, self.buffers)) if self.buffers else len(self.content)


def from_kernel(
    type: str,
    content: bytes,
    cell: str | None,
    *,
    buffers: tuple[bytes, ...] = (),
    late: bool = False,
    max_bytes: int = MAX_EVENT_BYTES,
) -> list[NewEvent]:
    """The events that one message of a kernel becomes: one, or several for a stream text above 64 KiB.

    Args:
        type: msg_type of the message; chosen by the caller from those it knows.
        content: its content frame, whatever it holds. Valid JSON on one line is taken verbatim, anything else is
            mended (see mend()) and marked `repaired` if its text had to be changed.
        cell: id of the cell that the message belongs to.
        late: it came after the end of its cell.
        max_bytes: a larger event, content and buffers together, becomes an `omitted` event, and so does what is no
            JSON object; streams are split instead.
    """
    try:
        fields = _OBJECT.decode(content)
        repaired, sound = False, b"\n" not in content and not is_deep(content, fields)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields, repaired, sound = {}, False, False
    if not sound:
        try:
            mending = mend(content)
        except Unmendable:
            return [omitted(Omitted(len(content) + sum(map(len, buffers)), None), cell, late=late)]
        content, fields, repaired = mending.content, mending.fields, mending.altered
    event = NewEvent(type, cell, content, fields, buffers, late, repaired)
    if len(content) > STREAM_BYTES and type == "stream":
        parts = _split_stream(event)
        if parts:
            return parts
    if event.size > max_bytes:
        return [omitted(Omitted(event.size, _largest_mime(fields.get("data"))), cell, late=late)]
    return [event]


def from_service(type: str, content: Struct | dict[str, Any], cell: str | None) -> NewEvent:
    """An event of the service's own. Lone surrogates in its texts become U+FFFD.

    Raises:
        ValueError: `content` is nested deeper than MAX_DEPTH levels; check what users give before it gets here.
    """
    try:
        try:
            encoded = msgspec.json.encode(content)
            fields = _OBJECT.decode(encoded)
        except UnicodeEncodeError:
            mending = mended(msgspec.to_builtins(content))
            encoded, fields = mending.content, mending.fields
    except RecursionError as error:
        raise ValueError("content is nested too deeply") from error
    if is_deep(encoded, fields):
        raise ValueError("content is nested too deeply")
    return NewEvent(type, cell, encoded, fields)


def omitted(what: Omitted, cell: str | None, *, late: bool = False) -> NewEvent:
    """In place of an event that is too large to be stored."""
    return msgspec.structs.replace(from_service("omitted", what, cell), late=late)


def _split_stream(event: NewEvent) -> list[NewEvent]:
    """The pieces of a long stream; [] if it is none (a forged message: no text, or much beside it)."""
    text = event.fields.get("text")
    rest = {name: value for name, value in event.fields.items() if name != "text"}
    if not isinstance(text, str) or event.buffers or len(msgspec.json.encode(rest)) > _STREAM_REST_BYTES:
        return []
    parts = list(pieces(text, STREAM_BYTES))
    if len(parts) < 2:
        return [event]
    events: list[NewEvent] = []
    for part in parts:
        fields = {**rest, "text": part}
        content = msgspec.json.encode(fields)
        events.append(NewEvent(event.type, event.cell, content, fields, (), event.late, event.repaired))
    return events


def _largest_mime(data: Any) -> str | None:
    """The type in a MIME bundle that takes most room."""
    if not isinstance(data, dict) or not data:
        return None
    bundle = cast("dict[str, Any]", data)
    return max(bundle, key=lambda mime: _size(bundle[mime]))[:256]


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value))
