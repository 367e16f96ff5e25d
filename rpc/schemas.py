"""JSON Schemas of structs, with what their members mean, for OpenRPC and OpenAPI."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct, inspect, structs

from rpc import meanings

Schema = dict[str, Any]
REF = "#/components/schemas/{name}"


class Schemas:
    """The schemas of some types, and as `components` those of every struct in them, by name."""

    def __init__(self, types: Sequence[Any]) -> None:
        """Raises TypeError for types that JSON does not have."""
        schemas, self.components = msgspec.json.schema_components(types, ref_template=REF)
        self._types = list(types)
        self._schemas = [_ecma(schema) for schema in schemas]
        for struct in structs_in(types):
            component = self.components.get(struct.__name__)
            if component is not None:
                _describe(component, struct)
        for component in self.components.values():
            _ecma(component)

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types: for a struct, a reference."""
        return self._schemas[self._types.index(kind)]

    def member(self, struct: type[Struct], name: str) -> Schema:
        """The schema of one member of one of the structs."""
        return self.components[struct.__name__]["properties"][name]


def structs_in(types: Iterable[Any]) -> Iterator[type[Struct]]:
    """Every struct that the types hold, each once."""
    seen: set[type[Struct]] = set()
    for info in inspect.multi_type_info(types):
        yield from _walk(info, seen)


def is_params(struct: type[Struct]) -> bool:
    """Whether a struct is one that clients send."""
    return struct.__struct_config__.forbid_unknown_fields


def _walk(info: Any, seen: set[type[Struct]]) -> Iterator[type[Struct]]:
    if isinstance(info, inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        yield info.cls
        parts: list[Any] = [field.type for field in info.fields]
    elif isinstance(info, inspect.UnionType | inspect.TupleType):
        parts = list(info.types if isinstance(info, inspect.UnionType) else info.item_types)
    elif isinstance(info, inspect.DictType):
        parts = [info.key_type, info.value_type]
    elif isinstance(info, inspect.CollectionType):
        parts = [info.item_type]
    elif isinstance(info, inspect.Metadata):
        parts = [info.type]
    else:
        parts = []
    for part in parts:
        yield from _walk(part, seen)


def _describe(component: Schema, struct: type[Struct]) -> None:
    """Give the members their meaning, and say that the service sends all of them. A reference stands alone in JSON
    Schema of draft 7, which OpenRPC has."""
    if not is_params(struct) and not struct.__struct_config__.omit_defaults:
        component["required"] = [field.encode_name for field in structs.fields(struct)]
    meaning: Callable[[type, str], str | None] = meanings.of_params if is_params(struct) else meanings.of_result
    for field in structs.fields(struct):
        words, schema = meaning(struct, field.name), component["properties"].get(field.encode_name)
        if words is None or schema is None or "$ref" in schema:
            continue
        expected = schema.get("description")
        schema["description"] = f"{words} ({expected})" if expected else words


def _ecma(schema: Any) -> Any:
    """JSON Schema has the regular expressions of ECMA-262, where `$` is the very end and `\\Z` is a letter."""
    if isinstance(schema, dict):
        for name, value in schema.items():  # pyright: ignore[reportUnknownVariableType]
            if name == "pattern" and isinstance(value, str):
                schema[name] = value.removesuffix("\\Z") + "$" if value.endswith("\\Z") else value
            else:
                _ecma(value)
    elif isinstance(schema, list):
        for value in schema:  # pyright: ignore[reportUnknownVariableType]
            _ecma(value)
    return schema  # pyright: ignore[reportUnknownVariableType]
