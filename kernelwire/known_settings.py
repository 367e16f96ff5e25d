"""The settings that there are: their keys, types and defaults, read from the structs, and one given value's check."""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import msgspec
from msgspec import Struct, inspect, structs

from kernelwire.errors import BadSetting

_HIDDEN = "secret"
"""`Meta(extra={"secret": True})` on a setting keeps its value out of errors and listings"""
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Known:
    """One setting. `key` is dotted: `bridge.queue_cells`."""

    key: str
    type: Any
    default: Any
    expected: str
    """what an error asks for, for instance "an integer from 1" """
    secret: bool

    def convert(self, value: Any, origin: str, *, from_text: bool) -> Any:
        """`value` as the setting's type. `from_text`: it comes from where all is text, so "10" is a number.

        Raises BadSetting, which names `origin`.
        """
        if from_text and _is_collection(inspect.type_info(self.type)):
            try:
                value = msgspec.json.decode(value)
            except msgspec.DecodeError:
                raise self._bad(value, origin) from None
        try:
            converted = msgspec.convert(value, self.type, strict=not from_text)
        except (msgspec.ValidationError, ValueError, OverflowError):
            raise self._bad(value, origin) from None
        if isinstance(converted, float) and not math.isfinite(converted):
            raise self._bad(value, origin)
        return converted

    def _bad(self, value: Any, origin: str) -> BadSetting:
        got = "something else" if self.secret else _short(repr(value))
        return BadSetting(f"{origin}: {self.key}: expected {self.expected}, got {got}")


@cache
def known_settings(settings: type[Struct]) -> dict[str, Known]:
    """Every setting of `settings` and of the structs in it, by key, in their order."""
    found: dict[str, Known] = {}
    _collect(settings, "", found)
    return found


def unknown(key: str, origin: str, known: dict[str, Known], spell: Callable[[str], str] = str) -> BadSetting:
    """The error for a key that is no setting, with the nearest one that is. `spell`: how keys are written there."""
    tables = {name.partition(".")[0] for name in known if "." in name}
    if key in tables:
        return BadSetting(f"{origin}: {key}: expected settings of this part, such as {spell(_first_of(key, known))}")
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5) or _same_name(key, known)
    hint = f"; the nearest is {spell(near[0])}" if near else f"; there are {', '.join(sorted(tables))}"
    return BadSetting(f"{origin}: there is no setting {_short(key)}{hint} (`kernelwire config` lists all)")


def build(settings: type[Struct], values: dict[str, Any]) -> Any:
    """The struct with `values`, by dotted key and already converted, and defaults for the rest."""
    members: dict[str, Any] = {}
    for field in structs.fields(settings):
        if _is_struct(field.type):
            start = f"{field.name}."
            inner = {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}
            members[field.name] = build(field.type, inner)
        elif field.name in values:
            members[field.name] = values[field.name]
    return settings(**members)


def value_of(settings: Struct, key: str) -> Any:
    """The value at a dotted key."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _collect(settings: type[Struct], before: str, found: dict[str, Known]) -> None:
    for field in structs.fields(settings):
        key = before + field.name
        if _is_struct(field.type):
            _collect(field.type, f"{key}.", found)
            continue
        kind = inspect.type_info(field.type)
        found[key] = Known(key, field.type, _default(field), _expected(kind), _is_secret(kind))


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _is_secret(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        return bool(_facts(kind, "extra").get(_HIDDEN)) or _is_secret(kind.type)
    return isinstance(kind, inspect.UnionType) and any(_is_secret(part) for part in kind.types)


def _facts(kind: inspect.Metadata, name: str) -> dict[str, object]:
    """A dict of the annotation; msgspec leaves open what is in it."""
    return cast("dict[str, object]", getattr(kind, name) or {})


def _is_collection(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        return _is_collection(kind.type)
    if isinstance(kind, inspect.UnionType):
        return any(_is_collection(part) for part in kind.types)
    return isinstance(kind, inspect.CollectionType | inspect.TupleType | inspect.DictType)


def _expected(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            said = _facts(kind, "extra_json_schema").get("description")
            return said if isinstance(said, str) else _expected(kind.type)
        case inspect.UnionType():
            return " or ".join(_expected(part) for part in kind.types if not isinstance(part, inspect.NoneType))
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "an integer" + _range(kind)
        case inspect.FloatType():
            return "a finite number" + _range(kind)
        case inspect.StrType():
            return "a string"
        case inspect.LiteralType():
            return "one of " + ", ".join(str(value) for value in kind.values)
        case inspect.DictType():
            return "a table (in the environment: a JSON object)"
        case _:
            return "a list (in the environment: a JSON array)"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f" from {kind.ge}" if kind.ge is not None else f" above {kind.gt}" if kind.gt is not None else ""
    high = f" to {kind.le}" if kind.le is not None else f" below {kind.lt}" if kind.lt is not None else ""
    return low + high


def _first_of(table: str, known: dict[str, Known]) -> str:
    return next(key for key in known if key.startswith(f"{table}."))


def _same_name(key: str, known: dict[str, Known]) -> list[str]:
    """Settings with the last word of `key`, in whichever table."""
    name = key.rpartition(".")[2]
    return [other for other in known if other.rpartition(".")[2] == name]


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default if field.default is not msgspec.NODEFAULT else None
