"""A host that an earlier `serve` started and could not end: the serve that finds it owns it."""

import asyncio
import os
import signal
from pathlib import Path

import msgspec

from kernel_bridge import pidfd
from kernel_bridge.host import HOST_FILE, HOST_LOCK, HostFile
from kernel_bridge.host_lock import HostLock


class FoundHost:
    """A running host that is no child of this process; ended like one. `close` frees the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._on_end)

    @classmethod
    def find(cls, state_dir: Path) -> "FoundHost | None":
        """The host that holds `state_dir`, if it belongs to `serve`; None if there is none or it is on its own."""
        try:
            file = msgspec.json.decode((state_dir / HOST_FILE).read_bytes(), type=HostFile)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        descriptor = pidfd.open_pid(file.pid) if file.owned else None
        if descriptor is None:
            return None
        # only while the lock is held does the number in the file belong to the host
        if HostLock(state_dir / HOST_LOCK).held_by_other():
            return cls(descriptor)
        os.close(descriptor)
        return None

    async def wait(self) -> int | None:
        """Return when it has ended; how is not known."""
        await self._ended.wait()
        return None

    def signal(self, number: signal.Signals) -> None:
        if self._descriptor >= 0:
            pidfd.send(self._descriptor, number)

    def close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._ended.set()
