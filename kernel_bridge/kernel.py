"""One kernel from its launch to its end.

Source: Jupyter messaging protocol 5.4: kernel_info, interrupt, shutdown; subshells (JEP 91), iopub_welcome (JEP 65).
"""

import asyncio
import contextlib
import logging
import shutil
import signal
from collections.abc import Callable, Sequence
from contextvars import Context
from pathlib import Path
from typing import Any, Literal

import msgspec
import zmq
from msgspec import Struct

from kernel_bridge import launch
from kernel_bridge.connection import Connection
from kernel_bridge.errors import KernelBusy, KernelDied, KernelStartFailed
from kernel_bridge.forkserver.servers import ForkServers
from kernel_bridge.kernel_channels import Deliver, KernelChannels
from kernel_bridge.kernel_command import Spec
from kernel_bridge.kernel_process import KernelProcess
from kernel_bridge.kernel_record import ExitRecord, write_info
from kernel_bridge.launch import KernelLaunch
from kernel_bridge.probe import Probe, Probes
from kernel_bridge.results import Exit
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.wire import Message

CELL_PREFIX = "x-"
"""An execute_request's msg_id is this and the cell's id, so that output names its cell without any table."""

UNKNOWN = b"{}"
"""`info_content` before the kernel has answered"""
WELCOME_S = 0.1
"""how long to wait for a sign of life on iopub before asking again; kernels without iopub_welcome have to be asked"""
IN_TOUCH_S = 1.0
"""bound of the wait for the channels of a kernel that was taken over; it takes milliseconds unless it is busy"""
INPUT_ROUTE_S = 1.0
"""how long to wait for the stdin channel of a kernel that has answered on shell; one without it is used all the same"""
SHUTDOWN_REPLY_S = 1.0
QUIET_S = 0.05
DRAIN_S = 10.0
"""after a kernel's end its last output is read until nothing came for QUIET_S, at most for DRAIN_S"""

log = logging.getLogger("kernelwire.bridge.kernel")

DeliverExit = Callable[["Kernel", ExitRecord], None]


class KernelInfo(Struct, frozen=True):
    """Of kernel_info_reply what the bridge acts on."""

    supported_features: list[str] = []


class _SubshellReply(Struct, frozen=True):
    subshell_id: str | None = None


class Kernel:
    """Owns the process and its channels.

    Messages that belong to cells go to `deliver`; `on_exit` is called once, when the process has ended and its last
    output was delivered. `close` frees what is left, also the kernel's directory.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        spec: Spec,
        connection: Connection,
        directory: Path,
        settings: BridgeSettings,
        deliver: Deliver,
        on_exit: DeliverExit,
        *,
        same_peer: bool = True,
        leave: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`same_peer`: see KernelChannels. `leave` is told the kernel's id when `close` has removed its directory."""
        self.spec = spec
        self.kid = directory.name
        self.info = KernelInfo()
        self.info_content = UNKNOWN
        """kernel_info_reply, as the kernel wrote it"""
        self.exit: ExitRecord | None = None
        self.stopping = False
        """its end is wanted"""
        self.dying = False
        """its process has ended, its last output is being read"""
        self.forked = False
        """whether a fork server started it"""
        self.uid: int | None = None
        """user of the system that it was started as; None: ours, or it was taken over"""
        self._directory = directory
        self._connection = connection
        self._settings = settings
        self._on_exit = on_exit
        self._leave = leave
        self._channels = KernelChannels(
            context, connection, self.kid, deliver, lossless=spec.launcher, same_peer=same_peer
        )
        self._subshells: dict[str, asyncio.Task[str | None]] = {}
        self._process: KernelProcess | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._probes: Probes | None = None
        self._in_touch = True
        self._is_ready = False
        self._judge: Callable[[bool], None] = _no_judge

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self, launched: KernelLaunch, forks: ForkServers | None = None) -> None:
        """Start the process; it is not ready yet. Raises OSError if the machine cannot."""
        process = await launch.start(launched, forks)
        self.forked = process.forked
        self.uid = launched.uid
        if forks is not None:
            self._judge = lambda ready: forks.judge(launched, forked=process.forked, ready=ready)
        self._hold(process)

    def take_over(self, process: KernelProcess, info: bytes | None, probes: Probes) -> None:
        """Hold a process that an earlier host started. `info`: its kernel_info_reply, if that is known; `probes`: what
        its messages go to."""
        self._probes = probes
        self._in_touch = False
        if info is not None:
            self.learn(info)
        self._hold(process)

    async def ready(self) -> None:
        """Return when the kernel has answered and its iopub channel is known to reach us; at once if it was before.

        Raises KernelStartFailed when it ends before that or takes longer than `kernel_start_s` (then it is killed).
        """
        if self._is_ready:
            return
        try:
            await self._until_ready()
        except KernelStartFailed:
            self._judge(False)
            raise
        self._is_ready = True
        self._judge(True)

    def hand_over(self, session: str, deliver: Deliver, on_exit: DeliverExit) -> None:
        """Be the kernel of `session` from now on; until now it was nobody's. Raises OSError: nothing has changed."""
        if self._process is None:
            raise RuntimeError("only a kernel that was started can be handed over")
        self._process.assign(session)
        self._channels.deliver_to(deliver)
        self._on_exit = on_exit

    async def _until_ready(self) -> None:
        patience_s = self._settings.kernel_start_s
        try:
            async with asyncio.timeout(patience_s):
                await self._say_hello()
            write_info(self._directory, self.info_content)
        except KernelDied as died:
            stderr = self.exit.stderr if self.exit is not None else ""
            raise KernelStartFailed(died.exit, stderr) from None
        except (TimeoutError, KernelBusy):
            words = f"no answer within {patience_s:g} s"
            try:
                ended = await self.kill()
            except TimeoutError:
                raise KernelStartFailed(Exit(), words) from None
            said = ended.stderr.rstrip("\n")
            raise KernelStartFailed(ended.exit, f"{said}\n{words}" if said else words) from None

    async def stop(self) -> ExitRecord:
        """End the kernel: asked first, then killed. Returns how it ended."""
        self.stopping = True
        if self._process is not None and self.exit is None:
            with contextlib.suppress(KernelBusy, KernelDied, TimeoutError):
                request = {"restart": False}
                await self.ask("shutdown_request", request, channel="control", deadline_s=SHUTDOWN_REPLY_S)
                async with asyncio.timeout(self._settings.kernel_stop_s):
                    await self.ended()
        return await self.kill()

    async def kill(self) -> ExitRecord:
        """End the kernel now and wait until its last output was delivered."""
        self.stopping = True
        if self._process is not None and self.exit is None:
            await self._process.kill(self._settings.kernel_stop_s)
            await self.ended()
        return self.exit or ExitRecord()

    def close(self) -> None:
        """Idempotent. The process must have ended or be left on purpose."""
        if self._watcher is not None and self.exit is None:  # else it has ended or is what calls us
            self._watcher.cancel()
        self._channels.close(KernelDied(Exit()))
        for creating in self._subshells.values():
            creating.cancel()
        if self._process is not None:
            self._process.close()
        try:
            self._connection.remove_sockets()
        except OSError as error:  # code in the kernel can have put anything there
            log.warning("sockets_not_removed kernel=%s error=%s", self.kid, error)
        shutil.rmtree(self._directory, ignore_errors=True)
        self._leave(self.kid)

    # -- requests ------------------------------------------------------------------------------------------------------

    @property
    def has_sync(self) -> bool:
        """Whether it runs under our launcher and remembers its last replies."""
        if self.info_content == UNKNOWN:
            return self.spec.launcher  # taken over, and nobody knows what it said
        return "kernelwire sync" in self.info.supported_features

    @property
    def responsive(self) -> bool:
        """Whether its process runs and nothing holds it, as far as can be known without asking it."""
        process = self._process
        return process is not None and not self.dying and process.alive and not process.stopped

    @property
    def behind(self) -> bool:
        """Whether output of the kernel has arrived that was not delivered yet."""
        return self._channels.behind

    def execute(self, cell: str, content: Struct) -> None:
        """Send the execute_request of `cell`; what follows is delivered, with parent id CELL_PREFIX + cell."""
        self._channels.send("shell", "execute_request", content, msg_id=CELL_PREFIX + cell)

    async def ask(
        self,
        msg_type: str,
        content: Struct | dict[str, Any],
        *,
        deadline_s: float,
        channel: Literal["shell", "control"] = "shell",
        subshell: str | None = None,
    ) -> Message:
        """The reply to a request. Raises KernelBusy at the deadline, KernelDied if the kernel ends first."""
        if self.exit is not None:
            raise KernelDied(self.exit.exit)
        return await self._channels.ask(msg_type, content, deadline_s=deadline_s, channel=channel, subshell=subshell)

    def send_comm(
        self,
        msg_type: str,
        content: dict[str, Any],
        *,
        subshell: str | None,
        metadata: dict[str, Any],
        buffers: Sequence[bytes],
    ) -> None:
        """Send a comm message, which nothing answers. `subshell`: None for the main shell. Raises KernelDied."""
        if self.exit is not None:
            raise KernelDied(self.exit.exit)
        self._channels.send("shell", msg_type, content, subshell=subshell, metadata=metadata, buffers=buffers)

    async def subshell(self, use: Literal["introspection", "comm"] = "introspection") -> str | None:
        """The id of this kernel's subshell for `use`, made at the first call; None where it has none to rely on.

        Raises KernelBusy, KernelDied.
        """
        if "kernel subshells" not in self.info.supported_features or not self.spec.subshells:
            return None
        creating = self._subshells.get(use)
        if creating is None or creating.cancelled() or (creating.done() and creating.exception() is not None):
            creating = asyncio.create_task(self._create_subshell(), name=f"subshell-{self.kid}-{use}")
            self._subshells[use] = creating
        await asyncio.wait([creating])
        if creating.cancelled():
            raise KernelDied(self.exit.exit if self.exit is not None else Exit())
        return creating.result()

    def learn(self, info: bytes) -> None:
        """Know what the kernel says of itself: the content of a kernel_info_reply."""
        self.info_content = info
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.info = msgspec.json.decode(info, type=KernelInfo)

    async def get_to_know(self) -> None:
        """Ask what it says of itself, if that is not known. Raises KernelBusy, KernelDied."""
        if self.info_content == UNKNOWN:
            deadline_s = self._settings.introspection_s
            self.learn((await self.ask("kernel_info_request", {}, deadline_s=deadline_s)).content)

    @property
    def in_touch(self) -> bool:
        """Whether what it says is known to reach us, so that get_in_touch() would return at once."""
        return self._in_touch

    async def get_in_touch(self) -> None:
        """Return when what a kernel that was taken over says reaches us, after IN_TOUCH_S at the latest.

        Else the first output of a cell that is sent to it at once could be lost. At once for all others.
        """
        if self._in_touch:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + IN_TOUCH_S
        live = self._channels.iopub_live
        while not live.is_set() and loop.time() < until and self.exit is None:
            try:
                async with asyncio.timeout(WELCOME_S):
                    await live.wait()
            except TimeoutError:
                self.probe(Probe())
        await self._channels.input_route(IN_TOUCH_S)
        self._in_touch = True

    def probe(self, probe: Probe) -> None:
        """Send a kernel_info_request for `probe`; for kernels that were taken over. Raises KernelDied."""
        if self.exit is not None:
            raise KernelDied(self.exit.exit)
        if self._probes is None:
            raise RuntimeError("only a kernel that was taken over can be probed")
        self._probes.watch(self._channels.send("shell", "kernel_info_request", {}), probe)

    def answer_input(self, value: str) -> None:
        """Send `value` as the answer to the input_request that the kernel waits with."""
        self._channels.answer_input(value)

    async def interrupt(self) -> None:
        """Interrupt once, by signal or message as the kernelspec says. Raises KernelBusy, KernelDied (message)."""
        if self.spec.interrupt_mode == "message":
            await self.ask("interrupt_request", {}, channel="control", deadline_s=self._settings.introspection_s)
        elif self._process is not None:
            self._process.signal(signal.SIGINT)

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _say_hello(self) -> None:
        patience_s = self._settings.kernel_start_s
        reply = await self.ask("kernel_info_request", {}, deadline_s=patience_s)
        self.learn(reply.content)
        live = self._channels.iopub_live
        while not live.is_set():
            try:
                async with asyncio.timeout(WELCOME_S):
                    await live.wait()
            except TimeoutError:  # the subscription was not live yet: this request's status will show it
                await self.ask("kernel_info_request", {}, deadline_s=patience_s)
        if not await self._channels.input_route(INPUT_ROUTE_S):
            log.warning("stdin_not_connected kernel=%s", self.kid)

    async def _create_subshell(self) -> str | None:
        deadline_s = self._settings.introspection_s
        reply = await self.ask("create_subshell_request", {}, channel="control", deadline_s=deadline_s)
        try:
            return msgspec.json.decode(reply.content, type=_SubshellReply).subshell_id
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("reply_malformed type=%s", reply.msg_type)
            return None

    def _hold(self, process: KernelProcess) -> None:
        self._process = process
        self._watcher = asyncio.create_task(self._watch(process), name=f"watch-{self.kid}", context=Context())

    async def _watch(self, process: KernelProcess) -> None:
        record = await process.wait()
        self.dying = True
        await self._until_quiet()
        self.exit = record
        self._channels.fail(KernelDied(record.exit))
        self._on_exit(self, record)

    async def _until_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_S
        seen = -1
        while (seen != self._channels.iopub_count or self.behind) and loop.time() < end:
            seen = self._channels.iopub_count
            await asyncio.sleep(QUIET_S)

    async def ended(self) -> None:
        """Return when the process has ended and `on_exit` was called."""
        if self._watcher is not None:
            await asyncio.wait([self._watcher])


def _no_judge(_ready: bool) -> None:
    """Where there is no fork server, nobody wants to know how a start went."""
