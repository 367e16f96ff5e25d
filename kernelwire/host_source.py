"""Where the host of a state directory comes from: it runs already, or it is started."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from kernel_bridge.host_pulse import HostPulse
from kernelwire import __version__
from kernelwire.child import Child, ChildFailed
from kernelwire.found_host import FoundHost, is_held
from kernelwire.keeper import Kept, Running

LOOK_S = 0.1
UNKNOWN_S = 45.0
"""how long a host may hold the state directory without saying who it is"""
SUCCESSOR_S = 5.0
"""how long whoever ran a host on its own has to start the next one, before `serve` does"""

log = logging.getLogger("kernelwire.supervisor")


class HostSource:
    """Finds the host of `state_dir`, or starts one by `launch`."""

    def __init__(self, state_dir: Path, launch: Callable[[], Awaitable[Child]]) -> None:
        self._state_dir = state_dir
        self._launch = launch
        self._stood_alone = False

    async def obtain(self) -> Kept:
        """The host that holds the state directory: one that runs, in whose place none is started, or a new one.

        Raises ChildFailed (one that runs does not say who it is), OSError.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            found = FoundHost.find(self._state_dir)
            if found is not None:
                log.info("host_found host_pid=%d owned=%s", found.pid, found.owned)
                self._stood_alone = not found.owned
                return self._kept(found, ours=found.owned)
            waited_s = loop.time() - began
            if is_held(self._state_dir):
                if waited_s > UNKNOWN_S:
                    raise ChildFailed(
                        f"{self._state_dir}: a process holds host.lock, but no host.json names it: end it"
                    )
            elif not self._stood_alone or waited_s > SUCCESSOR_S:
                self._stood_alone = False
                return self._kept(await self._launch(), ours=True)
            await asyncio.sleep(LOOK_S)

    def _kept(self, host: Running, *, ours: bool) -> Kept:
        return Kept(host, HostPulse(self._state_dir, __version__), ours=ours)
