"""Starting a kernel for a session: its directories, its connection file, its launch."""

import asyncio
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import zmq

from kernel_bridge.connection import Connection
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_command import argv_for, environment
from kernel_bridge.kernelspecs import LAUNCHER, Kernelspecs
from kernel_bridge.launch import KernelLaunch
from kernel_bridge.record import SessionRecord
from kernel_bridge.settings import BridgeSettings


@dataclass(frozen=True, slots=True)
class Place:
    """Where kernels' records, users' files and sockets go, and which lock tells shims that a host is alive."""

    kernels: Path
    workdirs: Path
    sockets: Path
    host_lock: Path


class KernelFactory:
    """Opens kernels; one for each host. The context is the host's to end, after every kernel was closed."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        place: Place,
        kernelspecs: Kernelspecs,
        settings: BridgeSettings,
    ) -> None:
        self.place = place
        self._context = context
        self._kernelspecs = kernelspecs
        self._settings = settings

    async def open(self, record: SessionRecord, deliver: Deliver, on_exit: DeliverExit) -> Kernel:
        """Launch a kernel for a session in its own working directory; it is not ready yet.

        Raises KernelspecNotFound, OSError if the machine cannot start it.
        """
        spec = await self._kernelspecs.get(record.kernelspec)
        kid = secrets.token_hex(6)  # short: it is a part of sockets' paths
        directory = self.place.kernels / kid
        workdir = self.place.workdirs / record.workdir
        connection = Connection.create(self.place.sockets, kid, spec.name)
        connection_file = directory / "connection.json"
        kernel: Kernel | None = None
        preparing = asyncio.ensure_future(asyncio.to_thread(_prepare, directory, workdir, connection, connection_file))
        try:
            await asyncio.shield(preparing)
            kernel = Kernel(self._context, spec, connection, directory, self._settings, deliver, on_exit)
            await kernel.start(
                KernelLaunch(
                    argv=argv_for(spec, str(connection_file), str(LAUNCHER)),
                    env=environment(spec),
                    workdir=str(workdir),
                    kernel_dir=str(directory),
                    profile="plain",
                    kid=kid,
                    session=record.id,
                    lock_path=str(self.place.host_lock),
                    orphan_grace_s=self._settings.orphan_grace_s,
                )
            )
        except BaseException:
            if kernel is not None:
                kernel.close()
            await asyncio.wait([preparing])  # a thread goes on when its waiter is cancelled, and would make it again
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return kernel


def _prepare(directory: Path, workdir: Path, connection: Connection, connection_file: Path) -> None:
    directory.mkdir(mode=0o700, parents=True)
    workdir.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection.write(connection_file)
