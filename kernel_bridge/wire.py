"""Jupyter messages on the wire: frames to structs and back, signed with HMAC. Pure.

Source: Jupyter messaging protocol, "The Wire Protocol" and "General Message Format". Content and metadata stay
bytes: whoever needs them decodes them once.
"""

import hashlib
import hmac
import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kernel_bridge.clock import WallClock
from kernel_bridge.errors import BadFrames, BadSignature

DELIMITER = b"<IDS|MSG>"
PROTOCOL_VERSION = "5.4"
EMPTY = b"{}"


class Header(Struct, frozen=True, omit_defaults=True):
    """What stands in the header of a message of ours."""

    msg_id: str = ""
    msg_type: str = ""
    username: str = ""
    session: str = ""
    date: str = ""
    version: str = ""
    subshell_id: str | None = None


class _Received(Struct, frozen=True):
    """Of a message's header only what the bridge uses; other members are ignored."""

    msg_id: str = ""
    msg_type: str = ""


class Message(Struct, frozen=True):
    """One message from a kernel, its signature checked. `content` and `metadata` are JSON as the kernel wrote it."""

    msg_type: str
    msg_id: str
    parent_id: str
    """msg_id of the request that it belongs to; empty if it has none"""
    content: bytes
    metadata: bytes
    buffers: tuple[bytes, ...] = ()


class _Parent(Struct, frozen=True):
    msg_id: str = ""


_header = msgspec.json.Decoder(_Received)
_parent = msgspec.json.Decoder(_Parent)
_encoder = msgspec.json.Encoder()


class Codec:
    """Encodes and decodes the messages of one connection.

    `key` is the connection file's key (empty: messages are not signed, as the protocol has it), `session` the client's
    session name. Message ids that it makes itself begin with `q-`.
    """

    def __init__(self, key: bytes, session: str) -> None:
        self._mac = _Mac(key) if key else None
        self._session = session
        self._clock = WallClock()
        self._numbers = itertools.count(1)

    def encode(
        self,
        msg_type: str,
        content: Struct | dict[str, Any],
        *,
        msg_id: str | None = None,
        subshell_id: str | None = None,
        parent: bytes = EMPTY,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> tuple[str, list[bytes]]:
        """The message's id and its frames, ready for a DEALER socket. `parent` is a whole parent header as JSON."""
        if msg_id is None:
            msg_id = f"q-{self._session}-{next(self._numbers)}"
        header = Header(
            msg_id=msg_id,
            msg_type=msg_type,
            username="kernelwire",
            session=self._session,
            date=self._clock.stamp(),
            version=PROTOCOL_VERSION,
            subshell_id=subshell_id,
        )
        about = _encoder.encode(metadata) if metadata else EMPTY
        parts = [_encoder.encode(header), parent, about, _encoder.encode(content)]
        return msg_id, [DELIMITER, self._mac.sign(parts) if self._mac is not None else b"", *parts, *buffers]

    def decode(self, frames: Sequence[bytes]) -> Message:
        """The message in `frames` (routing prefixes before the delimiter are skipped).

        Raises BadFrames if it is no Jupyter message, BadSignature if another key signed it.
        """
        start = _find_delimiter(frames)
        parts = frames[start + 2 : start + 6]
        if len(parts) < 4:
            raise BadFrames(f"expected 4 parts after the signature, got {len(parts)}")
        if self._mac is not None and not hmac.compare_digest(self._mac.sign(parts), frames[start + 1]):
            raise BadSignature("the signature does not fit the key of the connection")
        try:
            header = _header.decode(parts[0])
            parent = _parent.decode(parts[1])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadFrames(f"header: {error}") from None
        return Message(header.msg_type, header.msg_id, parent.msg_id, parts[3], parts[2], tuple(frames[start + 6 :]))


class _Mac:
    """HMAC-SHA256 with the key's part done once: what hmac.HMAC does, at a third of the price, as both its hashes are
    OpenSSL's own objects. Source: RFC 2104, section 2 and section 4."""

    def __init__(self, key: bytes) -> None:
        block_bytes = hashlib.sha256().block_size
        if len(key) > block_bytes:
            key = hashlib.sha256(key).digest()
        key = key.ljust(block_bytes, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def sign(self, parts: Sequence[bytes]) -> bytes:
        """The digest of the parts, one after the other, in hexadecimal digits."""
        inner, outer = self._inner.copy(), self._outer.copy()
        *about, content = parts
        inner.update(b"".join(about))
        inner.update(content)
        outer.update(inner.digest())
        return outer.hexdigest().encode()


def _find_delimiter(frames: Sequence[bytes]) -> int:
    for index, frame in enumerate(frames):
        if frame == DELIMITER:
            return index
    raise BadFrames("no <IDS|MSG> delimiter")
