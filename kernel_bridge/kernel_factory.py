"""A kernel for a session: started, with directories and connection file of its own, or taken over from a dead host."""

import asyncio
import secrets
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import zmq
from msgspec import structs

from kernel_bridge import limits, results, session_users
from kernel_bridge.adoption import Found, Survivor
from kernel_bridge.cgroups import Cgroups
from kernel_bridge.connection import Connection
from kernel_bridge.forkserver.client import ForkServer
from kernel_bridge.forkserver.servers import ForkServers
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_command import argv_for, environment, launcher_environment, own_environment
from kernel_bridge.kernelspecs import LAUNCHER, Kernelspecs, Spec
from kernel_bridge.launch import KernelLaunch
from kernel_bridge.leftovers import Leftovers
from kernel_bridge.ownership import remove_tree
from kernel_bridge.probe import Probes
from kernel_bridge.record import SessionRecord
from kernel_bridge.sandbox.plan import Sandbox
from kernel_bridge.sandbox.sandboxes import Sandboxes
from kernel_bridge.session_users import SessionUsers
from kernel_bridge.settings import BridgeSettings

CONNECTION_FILE = "connection.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where kernels' records, users' files and sockets go, and which lock tells shims that a host is alive."""

    kernels: Path
    workdirs: Path
    sockets: Path
    host_lock: Path

    @property
    def state_dir(self) -> Path:
        """Where all that is kept lies."""
        return self.host_lock.parent


class KernelFactory:
    """Opens kernels; one for each host. The context is the host's to end, after every kernel was closed.

    `leftovers` ends kernels that can not be taken over; the host closes it, and `forks`, the fork servers, where there
    are any.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        place: Place,
        kernelspecs: Kernelspecs,
        settings: BridgeSettings,
        cgroups: Cgroups | None = None,
        users: SessionUsers | None = None,
    ) -> None:
        self.place = place
        self.leftovers = Leftovers(place.sockets, self._leave)
        self.forks = ForkServers() if settings.fork_server and sys.platform == "linux" else None
        self._context = context
        self._kernelspecs = kernelspecs
        self._settings = settings
        self._environments: dict[tuple[str, bool], tuple[Spec, dict[str, str]]] = {}
        self._users = users
        self._sandboxes = Sandboxes(settings.sandbox, place.state_dir, place.sockets)
        self._cgroups = cgroups
        self._by_cgroup = cgroups.controllers if cgroups is not None else frozenset[str]()

    async def open(self, record: SessionRecord, deliver: Deliver, on_exit: DeliverExit) -> Kernel:
        """Launch a kernel for a session in its own working directory; it is not ready yet.

        Raises KernelspecNotFound, OSError if the machine cannot start it.
        """
        spec = await self._kernelspecs.get(record.kernelspec)
        user = record.owner_name
        uid = record.uid if self._has_uid(user) else None
        return await self._open(spec, _new_kid(), record.workdir, record.id, user, uid, deliver, on_exit)

    async def open_waiting(self, spec: Spec, deliver: Deliver, on_exit: DeliverExit) -> Kernel:
        """As `open`, for no session yet, in the sandbox that users have by default. Its working directory is its own
        and is named like it, as is its user of the system.

        Raises OSError.
        """
        kid = _new_kid()
        return await self._open(spec, kid, kid, "", "", self.new_uid(""), deliver, on_exit)

    def new_uid(self, user: str) -> int | None:
        """A user of the system for a session of `user`; None where its kernels run as the service's. Raises OSError."""
        return self._users.new() if self._users is not None and self._has_uid(user) else None

    def _has_uid(self, user: str) -> bool:
        return self._users is not None and session_users.are_for(self._settings.sandbox, user)

    async def _open(
        self,
        spec: Spec,
        kid: str,
        workdir_name: str,
        session: str,
        user: str,
        uid: int | None,
        deliver: Deliver,
        on_exit: DeliverExit,
    ) -> Kernel:
        directory = self.place.kernels / kid
        workdir = self.place.workdirs / workdir_name
        connection = Connection.create(self.place.sockets, kid, spec.name)
        connection_file = directory / CONNECTION_FILE
        kernel: Kernel | None = None
        preparing = asyncio.ensure_future(
            asyncio.to_thread(_prepare, directory, workdir, connection, connection_file, uid)
        )
        try:
            await asyncio.shield(preparing)
            kernel = Kernel(
                self._context, spec, connection, directory, self._settings, deliver, on_exit, leave=self._leave
            )
            launch = self._launch(spec, directory, workdir, session, uid)
            own = workdir, connection.directory, connection_file
            sandbox = await self._sandboxes.of(user, spec, launch.argv, launch.env, own, other_user=uid is not None)
            launch = self._boxed(launch, sandbox)
            if self._cgroups is not None:
                launch = structs.replace(launch, cgroup=self._cgroups.create(kid, self._settings.limits))
            await kernel.start(launch, self.forks)
        except BaseException:
            if kernel is not None:
                kernel.close()
            await asyncio.wait([preparing])  # a thread goes on when its waiter is cancelled, and would make it again
            shutil.rmtree(directory, ignore_errors=True)
            for path in (connection.directory, workdir):
                if path != workdir or not session:  # else it is the session's, files and all
                    with suppress(OSError):
                        remove_tree(path)
            raise
        return kernel

    async def prepare_fork(self) -> None:
        """Begin to start the fork server of the default kernelspec, if it has one. Raises KernelspecNotFound."""
        if self.forks is not None:
            spec = await self._kernelspecs.get(await self._kernelspecs.default())
            self.forks.prepare(self._example(spec))

    async def list(self) -> results.Kernelspecs:
        """All kernelspecs, with what is true of them now. Raises TimeoutError."""
        return await self._kernelspecs.list(self._is_preloaded)

    def fork_server(self, spec: Spec) -> ForkServer | None:
        """The server that forks kernels of `spec` now; None: they are started alone."""
        if self.forks is None:
            return None
        return self.forks.serving(self._example(spec))

    def _is_preloaded(self, spec: Spec) -> bool:
        return self.fork_server(spec) is not None

    def _example(self, spec: Spec) -> KernelLaunch:
        """A launch as most are, to find its fork server by; it is not started."""
        uid = self._settings.limits.uid_base if self._has_uid("") else None
        return self._launch(spec, self.place.kernels, self.place.workdirs, "", uid)

    def _launch(self, spec: Spec, directory: Path, workdir: Path, session: str, uid: int | None) -> KernelLaunch:
        at_home = own_environment(str(workdir)) if uid is not None else {}
        return KernelLaunch(
            argv=argv_for(spec, str(directory / CONNECTION_FILE), str(LAUNCHER)),
            env=self._environment(spec, theirs=uid is None) | at_home,
            workdir=str(workdir),
            kernel_dir=str(directory),
            profile="fork" if spec.launcher and self.forks is not None and self._forks_for(uid) else "plain",
            preload=tuple(self._settings.preload.get(spec.name, ())),
            kid=directory.name,
            session=session,
            lock_path=str(self.place.host_lock),
            orphan_grace_s=self._settings.orphan_grace_s,
            limits=self._limits(counts_processes=uid is not None),
            uid=uid,
        )

    def _forks_for(self, uid: int | None) -> bool:
        """Where sessions are users, the service has capabilities: no server with them reads what those sessions that
        are at home with the service's user (`trusted`) have put there."""
        return self._users is None or uid is not None

    def _boxed(self, launch: KernelLaunch, sandbox: Sandbox | None) -> KernelLaunch:
        """In a user namespace of its own a kernel's processes can be counted, as they can with a user of its own."""
        counts_processes = launch.uid is not None or (sandbox is not None and sandbox.level == "namespaces")
        return structs.replace(launch, sandbox=sandbox, limits=self._limits(counts_processes=counts_processes))

    def _limits(self, *, counts_processes: bool) -> dict[str, int]:
        return limits.for_launch(self._settings.limits, by_cgroup=self._by_cgroup, counts_processes=counts_processes)

    def _environment(self, spec: Spec, *, theirs: bool) -> dict[str, str]:
        """Of its kernels; made once, for nothing in ours changes. `theirs`: see kernel_command.environment."""
        known = self._environments.get((spec.name, theirs))
        if known is None or known[0] != spec:
            made = environment(spec, theirs=theirs) | launcher_environment(spec, self._settings.max_event_bytes)
            known = self._environments[spec.name, theirs] = spec, made
        return known[1]

    def adopt(self, found: Survivor, deliver: Deliver, on_exit: DeliverExit) -> Kernel:
        """The kernel of a dead host, connected: from now on what it says is delivered. Raises OSError without room.

        `found.process` is the kernel's then, unless it raises.
        """
        probes = Probes(deliver)
        kernel = Kernel(
            self._context,
            found.spec,
            found.connection,
            found.directory,
            self._settings,
            probes.deliver,
            on_exit,
            same_peer=found.hands_over,
            leave=self._leave,
        )
        kernel.take_over(found.process, found.info, probes)
        return kernel

    def discard(self, found: Found) -> None:
        """End a kernel of a dead host, if it lives, and remove what is left of it; returns at once."""
        if isinstance(found, Survivor):
            found.process.close()
        self.leftovers.end([found.directory])

    def _leave(self, kid: str) -> None:
        """A kernel has ended and its directory is gone."""
        if self._cgroups is not None:
            self._cgroups.leave(kid)


def _new_kid() -> str:
    return secrets.token_hex(6)  # short: it is a part of sockets' paths


def _prepare(directory: Path, workdir: Path, connection: Connection, connection_file: Path, uid: int | None) -> None:
    directory.mkdir(mode=0o700, parents=True)
    workdir.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection.directory.mkdir(mode=0o700)
    connection.write(connection_file)
    if uid is not None:
        session_users.let_read(directory, connection_file, uid)
        session_users.give(connection.directory, uid)
    session_users.give(workdir, uid)
