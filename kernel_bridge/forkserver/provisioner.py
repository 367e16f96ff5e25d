"""Forked kernels for every program that uses jupyter_client: a kernel provisioner, chosen in a kernelspec by

    "metadata": {"kernel_provisioner": {"provisioner_name": "kernelwire-fork-server", "config": {"preload": ["numpy"]}}}

The command is run as it is, without our launcher. The first kernel of a program is not forked: it starts the fork
server. A kernel ends `orphan_grace_s` after the program that started it; what it prints to file descriptors is kept for
its end only.

Source: jupyter_client documentation, "Customizing the kernel's runtime environment".
"""

import asyncio
import functools
import logging
import os
import secrets
import shutil
import signal
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import traitlets
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from kernel_bridge import launch
from kernel_bridge.forkserver.servers import ForkServers
from kernel_bridge.host_lock import HostLock
from kernel_bridge.kernel_process import KernelProcess
from kernel_bridge.launch import KernelLaunch

log = logging.getLogger("kernelwire.bridge.provisioner")


class Workshop:
    """What the kernels of one event loop share: fork servers, and a directory with the lock that says we are alive."""

    def __init__(self) -> None:
        self.forks = ForkServers()
        self.directory = Path(tempfile.mkdtemp(prefix="kernelwire-"))
        self.lock = HostLock(self.directory / "host.lock")
        self.lock.acquire()
        self._remove = weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)

    async def close(self) -> None:
        await self.forks.close()
        self.lock.release()
        self._remove()


# A provisioner is made for each kernel by jupyter_client, which knows no place for what several share.
_workshops: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Workshop]" = weakref.WeakKeyDictionary()


def workshop() -> Workshop:
    """That of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _workshops:
        _workshops[loop] = Workshop()
    return _workshops[loop]


async def close() -> None:
    """End the fork servers of the running event loop. Without it they end with the program."""
    made = _workshops.pop(asyncio.get_running_loop(), None)
    if made is not None:
        await made.close()


class ForkedPopen:
    """A KernelProcess with those members of subprocess.Popen that LocalProvisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, process: KernelProcess) -> None:
        self.pid = process.record.pid
        self.forked = process.forked
        self._process = process

    def poll(self) -> int | None:
        """The exit code, the negative number of the signal, or None while it runs."""
        ended = self._process.ended
        if ended is None:
            return None
        if ended.code is not None:
            return ended.code
        return -(ended.signal or signal.SIGKILL)

    def wait(self) -> int | None:
        return self.poll()

    def send_signal(self, signum: int) -> None:
        """To the kernel's process group."""
        self._process.signal(signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class ForkServerProvisioner(LocalProvisioner):
    """Starts kernels through a fork server where there is one, as processes of their own where not."""

    preload = traitlets.List(
        traitlets.Unicode(), help="modules that kernels find imported; `scientific`: numpy, sympy, matplotlib"
    ).tag(config=True)
    orphan_grace_s = traitlets.Float(
        60.0, min=1.0, help="seconds that a kernel lives on after the program that started it"
    ).tag(config=True)

    _put_away: tuple[Callable[[], None], ...] = ()

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel; the connection info. Raises OSError if the machine cannot."""
        shop = workshop()
        kid = secrets.token_hex(6)
        directory = shop.directory / kid
        directory.mkdir(mode=0o700)
        self.cwd: str | None = _absolute(kwargs.get("cwd"))
        environment: dict[str, str] = {name: str(text) for name, text in (kwargs.get("env") or os.environ).items()}
        environment.pop("JPY_PARENT_PID", None)  # the shim sees to that
        try:
            process = await launch.start(
                KernelLaunch(
                    argv=cmd,
                    env=environment,
                    workdir=self.cwd,
                    kernel_dir=str(directory),
                    profile="fork",
                    preload=tuple(self.preload),
                    kid=kid,
                    session=str(self.kernel_id),  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
                    lock_path=str(shop.directory / "host.lock"),
                    orphan_grace_s=self.orphan_grace_s,
                ),
                shop.forks,
            )
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        log.info("kernel_started kernel=%s forked=%s", kid, process.forked)
        self.process: Any = ForkedPopen(process)
        self._put_away = (process.close, functools.partial(shutil.rmtree, directory, ignore_errors=True))
        self.pid: int | None = process.record.pid
        self.pgid: int | None = None  # signals go by descriptor, to the group
        return self.connection_info

    async def wait(self) -> int | None:
        """As LocalProvisioner; frees what the process held."""
        code = await super().wait()
        self._free()
        return code

    async def cleanup(self, restart: bool = False) -> None:
        """As LocalProvisioner; frees what the process held."""
        self._free()
        await super().cleanup(restart)

    def _free(self) -> None:
        for free in self._put_away:
            free()
        self._put_away = ()


def _absolute(directory: str | None) -> str:
    return str(Path.cwd() / (directory or ""))
