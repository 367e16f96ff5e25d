"""Text cut into pieces of bounded size in UTF-8."""

from collections.abc import Iterator

_CR, _LF = 0x0D, 0x0A


def utf8_size(text: str) -> int:
    """Bytes of `text` in UTF-8. It must hold no lone surrogate (UnicodeEncodeError)."""
    return len(text) if text.isascii() else len(text.encode())


def pieces(text: str, max_bytes: int) -> Iterator[str]:
    """`text` in pieces of at most `max_bytes` (>= 4) bytes of UTF-8, in order; joined they are `text` again.

    A code point is never cut, and a carriage return is not parted from its line feed. Linear in the text.
    """
    if len(text) * 4 <= max_bytes or utf8_size(text) <= max_bytes:
        if text:
            yield text
        return
    data = text.encode()
    start, size = 0, len(data)
    while size - start > max_bytes:
        end = start + max_bytes
        while data[end] & 0xC0 == 0x80:  # a continuation byte: the code point began further left
            end -= 1
        if data[end] == _LF and data[end - 1] == _CR and end - 1 > start:
            end -= 1
        yield data[start:end].decode()
        start = end
    yield data[start:].decode()
