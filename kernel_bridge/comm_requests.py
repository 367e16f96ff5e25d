"""Messages to comms, on their way to the host."""

from typing import Any

from kernel_bridge.hop_request import Request
from kernel_bridge.kernel_results import CommSent


class CommOpen(Request[CommSent], frozen=True, tag="comm_open"):
    session: str
    target_name: str
    comm_id: str | None = None
    data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    buffers: list[bytes] | None = None


class CommMsg(Request[CommSent], frozen=True, tag="comm_msg"):
    session: str
    comm_id: str
    data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    buffers: list[bytes] | None = None


class CommClose(Request[CommSent], frozen=True, tag="comm_close"):
    session: str
    comm_id: str
    data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    buffers: list[bytes] | None = None
