"""`KEY=VALUE` words of `kernelwire call` as params.

KEY=VALUE     where the method takes a string: VALUE as it stands; else JSON if it is JSON, else a string
KEY:=JSON     JSON, whatever the method takes
KEY=@FILE     the text of a file (`-`: standard input); KEY:=@FILE: JSON in a file
"""

import json
import math
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from msgspec import inspect, structs

from kernelwire.errors import Failed, WrongUsage

_WORD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:?=)(.*)", re.DOTALL)


def members(method: str) -> dict[str, bool]:
    """What the method's params are called, and which of them are strings; {} for a method that is not known here."""
    from rpc.methods import REGISTRY

    found = REGISTRY.get(method)
    if found is None:
        return {}
    return {field.encode_name: _is_text(inspect.type_info(field.type)) for field in structs.fields(found.params)}


def parse(words: Sequence[str], texts: Collection[str]) -> dict[str, Any]:
    """The params. `texts`: those that are strings. Raises WrongUsage, Failed (a file that cannot be read)."""
    params: dict[str, Any] = {}
    for word in words:
        found = _WORD.fullmatch(word)
        if found is None:
            raise WrongUsage(f"expected KEY=VALUE (such as code='6 * 7') or KEY:=JSON, got {_short(word)}")
        key, sign, value = found.groups()
        if key in params:
            raise WrongUsage(f"{key}: expected once, got twice")
        if value.startswith("@"):
            value = _read(key, value[1:])
            params[key] = value if sign == "=" else _json(key, value)
        elif sign == ":=":
            params[key] = _json(key, value)
        else:
            params[key] = _checked(key, value) if key in texts else _json_or_text(key, value)
    return params


def _json_or_text(key: str, value: str) -> Any:
    try:
        return _json(key, value)
    except WrongUsage:
        return _checked(key, value)


def _json(key: str, value: str) -> Any:
    try:
        return json.loads(value, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise WrongUsage(f"{key}: expected JSON, got {_short(value)}") from None


def _refuse(_name: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _checked(key: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise WrongUsage(f"{key}: expected UTF-8, got other bytes") from None
    return value


def _read(key: str, name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Failed(f"{key}: expected UTF-8 in {name}, got other bytes") from None
    except OSError as error:
        hint = f"text that begins with @ is said by {key}:='\"@...\"'"
        raise Failed(f"{key}: {name or 'no file named'}: {error.strerror} ({hint})") from None


def _is_text(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        return _is_text(kind.type)
    if isinstance(kind, inspect.UnionType):
        return all(isinstance(part, inspect.NoneType) or _is_text(part) for part in kind.types)
    return isinstance(kind, inspect.StrType)


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}..."
