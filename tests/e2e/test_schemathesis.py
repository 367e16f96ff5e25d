"""Requests made from the OpenAPI document, valid ones and others, against the real service."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

from tests.e2e.conftest import SHORT
from tests.e2e.service import Service, running

# Their types are parts of generics that the library leaves open
from_dict: Any = schemathesis.openapi.from_dict
_CHECKS: Any = checks
_OPENAPI_CHECKS: Any = openapi_checks
CHECKS = [
    _CHECKS.not_a_server_error,
    _OPENAPI_CHECKS.status_code_conformance,
    _OPENAPI_CHECKS.content_type_conformance,
    _OPENAPI_CHECKS.response_headers_conformance,
    _OPENAPI_CHECKS.response_schema_conformance,
]
BOUNDED = settings(
    max_examples=5,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
METHODS = "/rpc"
WAIT_S = 0.05
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One of its own: the calls end tokens and close sessions as they come."""
    with running(tmp_path_factory.mktemp("schemathesis") / "state", extra=SHORT) as service:
        yield service


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    with urllib.request.urlopen(f"{service.url}/openapi.json", timeout=30) as answer:
        return json.load(answer)


class Caller:
    """Logs in for each request, to one session as long as there is one: requests may end both."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._session: str | None = None

    def send(self, case: Any) -> None:
        """Raises what schemathesis finds."""
        case.body = _tamed(case.body)
        headers = {"Authorization": f"Bearer {self._token()}"}
        case.call_and_validate(base_url=self._service.url, headers=headers, checks=CHECKS, timeout=TIMEOUT_S)

    def _token(self) -> str:
        if self._session is not None:
            found = self._log_in(session=self._session)
            if "result" in found:
                return found["result"]["token"]
        found = self._log_in()
        self._session = found["result"]["session"]
        return found["result"]["token"]

    def _log_in(self, **params: str) -> dict[str, Any]:
        params |= {"username": "admin", "password": self._service.password}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "login", "params": params}).encode()
        request = urllib.request.Request(f"{self._service.url}/rpc", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def caller(service: Service) -> Caller:
    return Caller(service)


def _tamed(body: Any) -> Any:
    """The request, but waiting no longer than the test can."""
    if isinstance(body, list):
        return [_tamed(item) for item in cast("list[Any]", body)]
    if not isinstance(body, dict):
        return body
    request = cast("dict[str, Any]", body)
    params = request.get("params")
    if isinstance(params, list):
        return {**request, "params": [0 if _is_number(value) else value for value in cast("list[Any]", params)]}
    if not isinstance(params, dict):
        return request
    named = cast("dict[str, Any]", params)
    return (
        {**request, "params": {**named, "wait": min(named["wait"], WAIT_S)}}
        if _is_number(named.get("wait"))
        else request
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _try_all(operation: Any, caller: Caller, mode: GenerationMode) -> int:
    """How many requests were sent."""
    sent = 0

    @seed(20261122)
    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        nonlocal sent
        caller.send(case)
        sent += 1

    send()
    return sent


def _only(document: dict[str, Any], name: str) -> Any:
    """POST /rpc with the requests of one method, and its answers."""
    answers = [{"$ref": f"#/components/schemas/{answer}"} for answer in (f"{name}Response", "ErrorResponse")]
    bodies = {"RequestBody": {"$ref": f"#/components/schemas/{name}Request"}, "ResponseBody": {"oneOf": answers}}
    schemas = {**document["components"]["schemas"], **bodies}
    chosen = {**document, "components": {**document["components"], "schemas": schemas}}
    return from_dict(chosen)["/rpc"]["POST"]


def test_requests_of_every_method(document: dict[str, Any], caller: Caller) -> None:
    schemas = document["components"]["schemas"]
    names = [name.removesuffix("Request") for name in schemas if name.endswith("Request") and name != "Request"]
    assert "Evaluate" in names
    for name in names:
        assert _try_all(_only(document, name), caller, GenerationMode.POSITIVE)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_any_body(document: dict[str, Any], caller: Caller, mode: GenerationMode) -> None:
    operation = from_dict(document)["/rpc"]["POST"]
    assert _try_all(operation, caller, mode)


def test_other_routes(document: dict[str, Any], caller: Caller) -> None:
    schema = from_dict(document)
    paths = [path for path, verbs in document["paths"].items() if "get" in verbs]
    assert "/healthz" in paths
    for path in paths:
        assert _try_all(schema[path]["GET"], caller, GenerationMode.POSITIVE)
