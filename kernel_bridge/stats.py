"""What a host has counted, as it goes over the hop."""

from msgspec import Struct


class Stats(Struct, frozen=True, kw_only=True):
    """Totals count from the host's start; the rest is how it is now. Nothing in it names a user or a session.

    started_at: seconds since 1970. sessions: by `open` and `closed`. kernels: of all sessions, by kernel_state but
    `none`, and by `pooled` those that wait for one. cells: those that ended, by their end. Bytes are those of the lines
    in the logs, of `dropped` ones those of content and buffers.
    """

    version: str = ""
    started_at: float = 0.0
    sessions: dict[str, int] = {}
    kernels: dict[str, int] = {}
    queued: int = 0
    cells: dict[str, int] = {}
    stored_events: int = 0
    stored_bytes: int = 0
    truncated_events: int = 0
    truncated_bytes: int = 0
    dropped_events: int = 0
    dropped_bytes: int = 0
