"""Settings of the HTTP door. Durations are seconds, sizes bytes. Defaults are those of the wire contract."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Host = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f]*(:[0-9A-Fa-f]*){2,7})$")]
Origin = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9+.-]*://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?$")
]
Hosts = Annotated[tuple[Host, ...], Meta(description="a list of names, each without scheme and port")]
Origins = Annotated[tuple[Origin, ...], Meta(description="a list of origins, such as https://notes.example.org")]


class RpcSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One front's settings."""

    behind_proxy: bool = False
    """whether all clients come through a proxy: only then X-Forwarded-For, -Proto and -Host are believed"""
    allowed_hosts: Hosts = ()
    """names under which clients ask for the service, beside localhost and the address that they connect to"""
    cors_origins: Origins = ()
    """pages of other origins that may call, each exactly as the browser sends it; none is allowed credentials"""

    body_bytes: Count = 8 << 20
    """of one HTTP request"""
    body_s: Seconds = 30.0
    """from the request's head to the last byte of its body"""
    batch_items: Count = 100
    """calls in one batch"""
    batch_answer_bytes: Count = 64 << 20
    """of all results of one batch together; those beyond it are LimitExceeded"""
    code_bytes: Count = 1 << 20
    """UTF-8 of `code` and of `user_expressions` together"""
    metadata_bytes: Count = 4096
    """JSON of a cell's `metadata`"""
    calls_at_once: Count = 1000
    """calls of one user that are under way at the same time in one front, long polls too"""
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
    export_s: Seconds = 30.0
    """added for export_notebook"""

    ws_connections: Count = 1000
    """WebSockets of one front"""
    ws_messages: Count = 300
    """messages of one WebSocket that are under way; while there are so many, or `body_bytes` of them, none is read"""
    ws_subscriptions: Count = 1000
    """of one user in one front"""
    ws_page_bytes: Annotated[int, Meta(ge=1024, le=16 << 20)] = 256 << 10
    """of events in one `output` notification; a longer event comes alone"""
    ws_held_bytes: Count = 1 << 20
    """pages that wait for a client that reads slowly; further ones are read from the log when these are sent"""
    ws_ping_s: Seconds = 20.0
    """a silent client is asked this often"""
    ws_silence_s: Seconds = 60.0
    """a client that neither sends nor takes anything for this long is gone"""
    ws_close_s: Seconds = 2.0
    """what a client is given to take what is left, and to answer the close"""

    drain_s: Seconds = 1.0
    """what calls under way are given to end by themselves when the front stops"""
    retry_after_s: Seconds = 1.0
    """what a client is told to wait while the front stops"""
