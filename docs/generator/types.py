"""Types, ranges and defaults in words."""

import json
from typing import Any

from msgspec import NODEFAULT, UNSET, inspect
from msgspec.structs import FieldInfo

MIB = 1 << 20
DAY_S = 86400


def words(kind: Any) -> str:
    """A type as a reader of JSON would call it, with its range."""
    return _words(inspect.type_info(kind))


def default(field: FieldInfo) -> str:
    """The default as JSON; empty if there is none, so that the member must be given."""
    value: Any = field.default
    if field.default_factory is not NODEFAULT:
        value = field.default_factory()
    return "" if value in (NODEFAULT, UNSET) else quantity(value)


def quantity(value: Any) -> str:
    """A value as JSON, and large ones also in a unit that people think in."""
    text = json.dumps(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1024 and value % 1024 == 0:
        return f"{text} ({value // MIB} MiB)" if value % MIB == 0 else f"{text} ({value // 1024} KiB)"
    return text


def _words(info: Any) -> str:
    match info:
        case inspect.Metadata():
            return _words(info.type)
        case inspect.UnionType():
            return " or ".join(dict.fromkeys(_words(part) for part in info.types))
        case inspect.StructType():
            return f"[{info.cls.__name__}](#{info.cls.__name__.lower()})"
        case inspect.LiteralType():
            return ", ".join(f"`{value}`" for value in info.values)
        case inspect.ListType() | inspect.CollectionType():
            return f"array of {_words(info.item_type)}"
        case inspect.DictType():
            return "object" if isinstance(info.value_type, inspect.AnyType) else f"object of {_words(info.value_type)}"
        case inspect.IntType() | inspect.FloatType():
            return ("integer" if isinstance(info, inspect.IntType) else "number") + _range(info)
        case inspect.StrType():
            return "string"
        case _:
            return "true or false" if isinstance(info, inspect.BoolType) else _rest(info)


def _rest(info: Any) -> str:
    return "null" if isinstance(info, inspect.NoneType) else "anything"


def _range(info: Any) -> str:
    low, high, above = info.ge, info.le, info.gt
    if low is not None and high is not None:
        return f", {low} to {high}" if high < 2**31 else f" from {low}"
    if above is not None and high is not None:
        return f" above {above}, at most {high}"
    if low is not None:
        return f" from {low}"
    return f" above {above}" if above is not None else ""
