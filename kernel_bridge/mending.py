"""JSON objects from outside, mended until the log can hold them.

What user code puts on the wire is not always JSON: ipykernel lets invalid UTF-8, lone surrogates and NaN
through. A mended object is strict JSON (RFC 8259) in valid UTF-8 on one line.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, cast

import msgspec

MAX_DEPTH = 200
"""levels of nesting that an event may have. Every reader must be able to decode what is stored, from deep inside
its own call stack; Python's and msgspec's decoders give up somewhere below 1,000 levels."""

_SHORT_BYTES = 64 << 10
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Unmendable(ValueError):
    """The bytes hold no JSON object, or one that is nested too deeply."""


@dataclass(slots=True, frozen=True)
class MendedObject:
    """`content` is the object as JSON, `fields` the same decoded; `altered` says that the text was changed."""

    content: bytes
    fields: dict[str, Any]
    altered: bool


def too_deep(value: Any, max_depth: int = MAX_DEPTH) -> bool:
    """Is `value`, as a JSON decoder makes it, nested deeper than `max_depth` levels? Does not recurse."""
    level = _containers([value])
    for _ in range(max_depth):
        if not level:
            return False
        level = _containers([item for container in level for item in _items(container)])
    return bool(level)


def _containers(values: list[Any]) -> list[Any]:
    return [value for value in values if type(value) is dict or type(value) is list]


def _items(container: Any) -> list[Any]:
    return list(cast("dict[str, Any]", container).values()) if type(container) is dict else container


def is_deep(content: bytes, fields: dict[str, Any]) -> bool:
    """As too_deep(fields); `content`, the same as JSON, spares the walk through nearly all objects."""
    return _has_brackets(content, MAX_DEPTH + 1) and too_deep(fields)


def _has_brackets(content: bytes, least: int) -> bool:
    """Whether there are at least so many opening ones. Searching a long text is many times faster than counting."""
    if len(content) <= _SHORT_BYTES:
        return content.count(b"[") + content.count(b"{") >= least
    for bracket in (b"[", b"{"):
        at = content.find(bracket)
        while at >= 0:
            least -= 1
            if least <= 0:
                return True
            at = content.find(bracket, at + 1)
    return False


def mend(content: bytes) -> MendedObject:
    """Read `content` as leniently as is safe and write it anew.

    Invalid UTF-8 and lone surrogates become U+FFFD; NaN, Infinity and numbers beyond a double or 4,300 digits
    become null: `altered`. White space and raw control characters in strings are only written differently.

    Raises:
        Unmendable: no JSON object, or nested deeper than MAX_DEPTH.
    """
    try:
        text, altered = content.decode(), False
    except UnicodeDecodeError:
        text, altered = content.decode(errors="replace"), True
    numbers = _Numbers()
    try:
        value: Any = json.JSONDecoder(
            strict=False, parse_constant=numbers.constant, parse_float=numbers.real, parse_int=numbers.integer
        ).decode(text)
        if not isinstance(value, dict) or too_deep(value):
            raise Unmendable
        return mended(cast("dict[str, Any]", value), altered or numbers.altered)
    except (ValueError, RecursionError) as error:
        raise Unmendable(str(error)) from error


def mended(value: dict[str, Any], altered: bool = False) -> MendedObject:
    """`value`, of what json.loads makes, as strict JSON; lone surrogates become U+FFFD.

    Raises ValueError (NaN) and RecursionError.
    """
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not written.isascii():
        written, count = _LONE_SURROGATE.subn("\ufffd", written)
        altered = altered or count > 0
    content = written.encode()
    return MendedObject(content, msgspec.json.decode(content, type=dict[str, Any]), altered)


class _Numbers:
    """Numbers that JSON or its readers do not have become null; `altered` remembers that one did."""

    __slots__ = ("altered",)

    def __init__(self) -> None:
        self.altered = False

    def constant(self, _name: str) -> None:
        self.altered = True

    def real(self, digits: str) -> float | None:
        number = float(digits)
        if number - number == 0:  # neither infinite nor NaN
            return number
        self.altered = True
        return None

    def integer(self, digits: str) -> int | None:
        try:
            return int(digits)
        except ValueError:  # sys.get_int_max_str_digits()
            self.altered = True
            return None
