"""The OpenAPI document against OpenAPI 3.1, and its examples against its own schemas."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from rpc import documents

DOCUMENT: dict[str, Any] = json.loads(msgspec.json.encode(documents.openapi()))
POST: dict[str, Any] = DOCUMENT["paths"]["/rpc"]["post"]
REQUEST: dict[str, Any] = POST["requestBody"]["content"]["application/json"]
ANSWER: dict[str, Any] = POST["responses"]["200"]["content"]["application/json"]


def _check(value: Any, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    validator: Any = jsonschema.Draft202012Validator(whole)
    validator.validate(value)


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_the_examples_fit_their_schemas() -> None:
    assert REQUEST["examples"]
    for name, example in REQUEST["examples"].items():
        _check(example["value"], REQUEST["schema"])
        if name in ANSWER["examples"]:
            _check(ANSWER["examples"][name]["value"], ANSWER["schema"])


@pytest.mark.parametrize(
    "request_object",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "1", "wait": 301}},
        {"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"cod": "1"}},
        {"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "1", "cell": "a b"}},
        {"jsonrpc": "2.0", "id": 1, "method": "evaluate"},
        {"jsonrpc": "1.0", "id": 1, "method": "whoami"},
        {"jsonrpc": "2.0", "id": True, "method": "whoami"},
        {"jsonrpc": "2.0", "id": 1, "method": "evalute", "params": {"code": "1"}},
        [],
    ],
)
def test_requests_that_the_schema_refuses(request_object: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        _check(request_object, REQUEST["schema"])


@pytest.mark.parametrize(
    "request_object",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": "1", "cell": "a-b", "token": "kw_"}},
        {"jsonrpc": "2.0", "method": "evaluate", "params": ["1"]},
        [{"jsonrpc": "2.0", "id": None, "method": "whoami"}],
    ],
)
def test_requests_that_the_schema_takes(request_object: Any) -> None:
    _check(request_object, REQUEST["schema"])
