"""The host's pulse: pings over the hop, answered by the host's event loop."""

import logging
from pathlib import Path

import msgspec
import zmq

from kernel_bridge import hop, runtime_dir
from kernel_bridge.channels import Channel
from kernel_bridge.hop_secret import read_secret
from kernel_bridge.runtime_dir import HOST_SOCKET

_HELD = 100
"""pings that wait for a host that does not take them; one that goes on answers each"""

log = logging.getLogger("kernelwire.bridge.pulse")
_encoder = msgspec.msgpack.Encoder()


class HostPulse:
    """Asks the host that holds `state_dir` whether it lives; makes no calls. `close` closes all. Never blocks.

    Any answer counts, a refusal too: a host of another version lives.
    """

    def __init__(self, state_dir: Path, version: str) -> None:
        self._state_dir = state_dir
        self._version = version
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._channel: Channel | None = None
        self._address: Path | None = None
        self._secret = b""
        self._count = 0
        self._heard = False

    def ask(self) -> bool:
        """Ping. False if there was no way to ask that the host would be to blame for."""
        try:
            self._connect()
        except FileNotFoundError:
            pass  # its files are not there yet: it does not answer; or they were removed, and it is still connected
        except (OSError, zmq.ZMQError) as error:
            log.warning("host_not_asked reason=%s", error)
            return False
        if self._channel is not None:
            self._count += 1
            self._channel.send([_encoder.encode(hop.Ping(hop.PROTO, self._version, self._secret, self._count))])
        return True

    def heard(self) -> bool:
        """Whether the host has answered since the last call."""
        if self._channel is not None:
            self._channel.drain()
        heard, self._heard = self._heard, False
        return heard

    def close(self) -> None:
        """Idempotent."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._context.term()

    def _connect(self) -> None:
        """To the host's address, if that is another one than before. Raises OSError, zmq.ZMQError."""
        address = runtime_dir.find(self._state_dir) / HOST_SOCKET
        self._secret = read_secret(self._state_dir)
        if address == self._address:
            return
        socket = self._context.socket(zmq.DEALER)
        try:
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.SNDHWM, _HELD)
            socket.setsockopt(zmq.RECONNECT_IVL, 50)
            socket.connect(f"ipc://{address}")
        except zmq.ZMQError:
            socket.close()
            raise
        if self._channel is not None:
            self._channel.close()
        self._channel, self._address = Channel(socket, self._on_frames, "pulse"), address

    def _on_frames(self, _frames: list[bytes]) -> None:
        self._heard = True
