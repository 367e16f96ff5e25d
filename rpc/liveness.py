"""Whether the client of a WebSocket is there: it sends, takes what is sent, or answers a ping. RFC 6455, 5.5.2."""

import asyncio

from rpc.outlet import Outlet


class Liveness:
    """Silence is measured from the last sign of life of either direction. Durations are seconds."""

    def __init__(self, outlet: Outlet, transport: asyncio.Transport, ping_s: float, silence_s: float) -> None:
        self.held_back = False
        """the reading has stopped for want of room: then silence says nothing"""
        self._clock = asyncio.get_running_loop().time
        self._outlet = outlet
        self._transport = transport
        self._ping_s = ping_s
        self._silence_s = silence_s
        self._heard_at = self._asked_at = self._clock()
        self._taken = (0, 0)

    def heard(self) -> None:
        """The client has sent something."""
        self._heard_at = self._clock()

    def is_gone(self) -> bool:
        """Whether the client was silent for too long."""
        taken = (self._outlet.sent, self._transport.get_write_buffer_size())
        if self.held_back or taken != self._taken:
            self.heard()
        self._taken = taken
        return self._clock() - self._heard_at > self._silence_s

    def wants_ping(self) -> bool:
        """Whether to ask the client now; True once in `ping_s`, and only if the transport takes it at once."""
        now = self._clock()
        if now - max(self._heard_at, self._asked_at) < self._ping_s or self._transport.get_write_buffer_size():
            return False
        self._asked_at = now
        return True
