"""Structs as tables: their members, with types and meanings."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec import structs as msgspec_structs

from docs.generator import types
from docs.generator.markdown import code, table
from rpc import meanings
from rpc.registry import Method
from rpc.schemas import structs_in


def members(struct: type[Struct]) -> str:
    """The members of what the service sends."""
    rows = [
        (code(field.encode_name), types.words(field.type), meanings.of_result(struct, field.name) or "")
        for field in msgspec_structs.fields(struct)
    ]
    return table(("member", "type", "what"), rows)


def params(entry: Method[Any]) -> str:
    """The params of a method: what may be given, as errors say it, and the default."""
    expected = {member.name: member.expected for member in entry.reader.members}
    rows = [
        (
            code(field.encode_name),
            expected[field.encode_name],
            "**required**" if field.required else types.default(field),
            meanings.of_params(entry.params, field.name) or "",
        )
        for field in msgspec_structs.fields(entry.params)
    ]
    return table(("param", "expected", "default", "what"), rows)


def nested(kinds: Iterable[Any]) -> list[type[Struct]]:
    """Every struct within the types that they are not themselves, by name."""
    kinds = list(kinds)
    found = [struct for struct in structs_in(kinds) if struct not in kinds]
    return sorted(found, key=lambda struct: struct.__name__)
