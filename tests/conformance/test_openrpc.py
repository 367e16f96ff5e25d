"""The OpenRPC document against the meta-schema of OpenRPC 1.3.

The Makefile installs it beside the tests' packages: from npm, as no package of PyPI carries it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from rpc import documents

PACKAGES = Path(sys.prefix) / "meta-schemas" / "node_modules"
OPENRPC = PACKAGES / "@open-rpc/spec/dist/1_3/schema.json"
JSON_SCHEMA = PACKAGES / "@json-schema-tools/meta-schema/schema.json"
"""what OpenRPC's refers to as https://meta.json-schema.tools"""


def _check(document: Any) -> None:
    schemas = [json.loads(path.read_bytes()) for path in (OPENRPC, JSON_SCHEMA)]
    resource = Resource[Any](contents=schemas[1], specification=DRAFT7)
    places = ("https://meta.json-schema.tools", "https://meta.json-schema.tools/")
    registry = Registry[Any]().with_resources((place, resource) for place in places)
    validator: Any = jsonschema.Draft7Validator(schemas[0], registry=registry)
    validator.validate(document)


def test_the_document_is_openrpc() -> None:
    document = msgspec.to_builtins(documents.openrpc())
    _check(document)
    assert document["methods"]


@pytest.mark.parametrize("spoil", ["params", "result", "errors", "name"])
def test_the_meta_schema_finds_faults(spoil: str) -> None:
    document = json.loads(msgspec.json.encode(documents.openrpc()))
    document["methods"][0][spoil] = {"unknown": 1}
    with pytest.raises(jsonschema.ValidationError):
        _check(document)
