"""The documents that describe the service."""

from typing import Any

from msgspec import Struct


class OpenRpcDocument(Struct, frozen=True, omit_defaults=True):
    """https://spec.open-rpc.org"""

    openrpc: str
    """version of OpenRPC"""
    info: dict[str, Any]
    """title and version of this API"""
    servers: list[dict[str, Any]]
    """where calls go"""
    methods: list[dict[str, Any]]
    """every method: params, result, errors, examples"""
    components: dict[str, Any]
    """the schemas and errors that methods refer to"""


class OpenApiDocument(Struct, frozen=True):
    """https://spec.openapis.org"""

    openapi: str
    """version of OpenAPI"""
    info: dict[str, Any]
    """title and version of this API"""
    servers: list[dict[str, Any]]
    """where the paths are"""
    paths: dict[str, Any]
    """every HTTP route: verbs, bodies, statuses, headers"""
    components: dict[str, Any]
    """schemas and security schemes"""
