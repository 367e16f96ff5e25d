"""Settings of the HTTP door. Durations are seconds, sizes bytes. Defaults are those of the wire contract."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class RpcSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One front's settings."""

    body_bytes: Count = 8 << 20
    """of one HTTP request"""
    body_s: Seconds = 30.0
    """from the request's head to the last byte of its body"""
    batch_items: Count = 100
    batch_answer_bytes: Count = 64 << 20
    """of all results of one batch together; those beyond it are LimitExceeded"""
    code_bytes: Count = 1 << 20
    """UTF-8 of `code` and of `user_expressions` together"""
    metadata_bytes: Count = 4096
    """JSON of a cell's `metadata`"""
    long_polls: Count = 256
    """calls of one user that wait at the same time"""

    call_s: Seconds = 10.0
    """bound of a question to the host, beside the time that the call itself may take"""
    kernel_start_s: Seconds = 60.0
    """added where a kernel may have to start first"""
    introspection_s: Seconds = 2.0
    """added for complete and inspect"""
    interrupt_s: Seconds = 30.0
    """added for interrupt, which escalates"""

    drain_s: Seconds = 5.0
    """what calls under way are given to end by themselves when the front stops"""
    retry_after_s: Seconds = 1.0
    """what a client is told to wait while the front stops"""
