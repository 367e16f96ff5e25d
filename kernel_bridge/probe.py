"""Probes: kernel_info_requests by which one knows how far a kernel has come with what was sent to it before.

A kernel handles its shell channel in order, and what it says on iopub is in order too. So once a probe is answered,
every cell before it has ended; and once its `idle` has come, all that those cells printed in time has come.
"""

import asyncio
from dataclasses import dataclass, field

from kernel_bridge.connection import ChannelName
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.wire import Message


@dataclass(slots=True, eq=False)
class Probe:
    """May be sent more than once: any answer counts, and any `idle`."""

    content: bytes = b""
    """of the first kernel_info_reply"""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    passed: asyncio.Event = field(default_factory=asyncio.Event)
    """its `idle` has come on iopub"""


class Probes:
    """Stands between a kernel's channels and whoever gets its messages; passes on all of them."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._unanswered: dict[str, Probe] = {}
        self._unpassed: dict[str, Probe] = {}

    def watch(self, msg_id: str, probe: Probe) -> None:
        """The kernel_info_request `msg_id` was sent for `probe`. Reply and `idle` may come in either order."""
        self._unanswered[msg_id] = self._unpassed[msg_id] = probe

    def deliver(self, channel: ChannelName, message: Message) -> None:
        self._deliver(channel, message)
        if channel == "shell":
            probe = self._unanswered.pop(message.parent_id, None)
            if probe is not None and not probe.answered.is_set():
                probe.content = message.content
                probe.answered.set()
        elif self._unpassed and channel == "iopub" and message.msg_type == "status" and b'"idle"' in message.content:
            probe = self._unpassed.pop(message.parent_id, None)
            if probe is not None:
                probe.passed.set()
