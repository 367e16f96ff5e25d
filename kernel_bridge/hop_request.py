"""What all questions to the host have in common."""

from typing import Generic, TypeVar

from msgspec import Struct

R = TypeVar("R")


class Caller(Struct, frozen=True):
    """The user for whom a front asks; the host checks it against the owner of the session."""

    user_id: str
    user: str


class Request(Struct, Generic[R], frozen=True, kw_only=True, tag=True, tag_field="op"):
    """One question to the host. R is the struct that the JSON of the answer decodes to."""

    caller: Caller
    request_id: str = ""
    traceparent: str | None = None
    """the caller's span, as in W3C Trace Context; None while nothing is traced"""
