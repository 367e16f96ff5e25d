"""From the `params` of a request to the struct of its method, member by member, with words that help."""

import re
import typing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, defstruct, structs

from rpc import json_text
from rpc.errors import InvalidParams

P = TypeVar("P", bound=Struct)

TOKEN = "token"  # noqa: S105 (the name of a member, not a secret)
# Integers up to here are exact as floats, and so as the JSON of JavaScript.
_EXACT = 2**53
_NUMBER_BYTES = 64

_ABSENT = Raw(b"")
_UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at |$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    decoder: "msgspec.json.Decoder[Any]"
    type: Any
    expected: str
    required: bool

    def read(self, raw: Raw) -> Any:
        """The value. Raises InvalidParams."""
        try:
            return self.decoder.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            text = bytes(raw)
        try:
            return msgspec.convert(_whole(text), self.type)
        except (msgspec.ValidationError, ValueError, OverflowError):
            raise InvalidParams(self.name, self.expected, json_text.describe(text)) from None


class ParamsReader(Generic[P]):
    """Reads the params of one method. By position, members stand in the struct's order."""

    def __init__(self, params: type[P]) -> None:
        self._type = params
        self.members = tuple(_member(params, field) for field in structs.fields(params))
        self._named = {member.name: member for member in self.members}
        # What a strict struct takes as a whole is right as it is, and costs a tenth. Never asked for a lenient one.
        self._whole = msgspec.json.Decoder(params) if params.__struct_config__.forbid_unknown_fields else None
        # First the texts of the members, as structs: a million members that nobody asked for cost no memory then.
        fields = [(name, Raw, _ABSENT) for name in (*self._named, TOKEN)]
        self._by_name = _decoder(defstruct(f"{params.__name__}ByName", fields, forbid_unknown_fields=True))
        self._by_position = _decoder(defstruct(f"{params.__name__}ByPosition", fields, array_like=True))

    def read(self, raw: Raw | None) -> tuple[P, str | None]:
        """The params, and the member `token` if by-name params have it. Raises InvalidParams."""
        if raw is None:
            return self._build({}), None
        if self._whole is not None:
            try:
                return self._whole.decode(raw), None
            except (msgspec.DecodeError, RecursionError):  # by position, with a token, or wrong: member by member
                pass
        given = self._texts(raw)
        token = given.pop(TOKEN, None)
        return self._build(given), None if token is None else _token.read(token)

    def _texts(self, raw: Raw) -> dict[str, Raw]:
        """The members that are there. The token comes by name only; its place by position shows one too many."""
        if bytes(raw)[:1] == b"[":
            texts = _present(self._by_position.decode(raw))
            if TOKEN in texts:
                raise InvalidParams("params", f"at most {len(self.members)} by position", "more")
            return texts
        try:
            return _present(self._by_name.decode(raw))
        except msgspec.ValidationError as error:
            unknown = _UNKNOWN.search(str(error))
            raise InvalidParams(
                _short(unknown[1]) if unknown else "params", self._known(), "an unknown member"
            ) from None

    def _build(self, given: dict[str, Raw]) -> P:
        for member in self.members:
            if member.required and member.name not in given:
                raise InvalidParams(member.name, member.expected, "nothing")
        return self._type(**{name: self._named[name].read(raw) for name, raw in given.items()})

    def _known(self) -> str:
        return f"one of {', '.join(self._named)}" if self._named else "no params"


def _decoder(texts: type[Struct]) -> msgspec.json.Decoder[Struct]:
    return msgspec.json.Decoder(texts)


def _present(texts: Struct) -> dict[str, Raw]:
    return {name: raw for name, raw in structs.asdict(texts).items() if memoryview(raw).nbytes}


def _whole(text: bytes) -> int:
    """The integer that a JSON number such as 1.0 or 1e2 is. Raises ValueError for any other text."""
    if len(text) > _NUMBER_BYTES or text[:1] not in b"-0123456789":
        raise ValueError
    number = float(text)
    if not number.is_integer() or abs(number) > _EXACT:
        raise ValueError
    return int(number)


def _member(params: type[Struct], field: structs.FieldInfo) -> Member:
    expected = _expected(field.type)
    if expected is None:
        raise TypeError(f"{params.__name__}.{field.name} needs a Meta(description=...) to name in errors")
    return Member(field.encode_name, msgspec.json.Decoder(field.type), field.type, expected, field.required)


def _expected(kind: Any) -> str | None:
    for meta in getattr(kind, "__metadata__", ()):
        if isinstance(meta, Meta) and meta.description:
            return meta.description
    return next((words for part in typing.get_args(kind) if (words := _expected(part))), None)


def _short(name: str) -> str:
    return name if len(name) <= 64 else name[:61] + "..."


_token = Member(TOKEN, msgspec.json.Decoder(str), str, "a string", required=False)
