"""One fork server process as the host holds it. The messages are those of server.py."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from kernel_bridge import pidfd
from kernel_bridge.forkserver.plan import Plan

SERVER = Path(__file__).with_name("server.py")
ROOM = "-" * 1024
"""an argument that leaves room to write the forked processes' command lines over"""
READY_S = 120.0
"""bound of all imports"""
ANSWER_S = 5.0
"""bound of a fork, which takes 5 ms on an idle machine"""
END_S = 5.0
MESSAGE_BYTES = 64 * 1024
OUTPUT_BYTES = 4096
"""how much of what the server prints is kept, the newest"""

log = logging.getLogger("kernelwire.bridge.forkserver")


class ForkServerFailed(OSError):
    """The fork server is of no use for this launch; `str` says why. Nothing was started."""


class PreloadRefused(ForkServerFailed):
    """`module` cannot be imported in a process that forks; without it the server would start."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(f"{module}: {reason}")
        self.module = module
        self.reason = reason


class _Message(Struct, frozen=True):
    """Whatever the server says; one of the members is there."""

    importing: str | None = None
    refused: str | None = None
    reason: str = ""
    ready: int | None = None
    left_out: dict[str, str] = {}
    installed: dict[str, int] = {}
    shim: int | None = None
    fault: str | None = None


class ForkServer:
    """Made in a running event loop; `start` it, then `fork`. `close` ends the process; kernels live on."""

    def __init__(self, plan: Plan, without: tuple[str, ...], ended: Callable[["ForkServer"], None]) -> None:
        """`without`: modules not to import. `ended` is called when the process ends before `close`."""
        self.forks = 0
        """how many kernels it has forked"""
        self.left_out: dict[str, str] = {}
        """modules that could not be imported, and why"""
        self.pid = 0
        self._installed: dict[str, int] = {}
        self._plan = plan
        self._without = without
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._socket: socket.socket | None = None
        self._output_fd = -1
        self._process_fd = -1
        self._output = bytearray()
        self._importing = ""

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process_fd >= 0 and not pidfd.has_ended(self._process_fd)

    @property
    def up_to_date(self) -> bool:
        """Whether no package was installed or removed where it has imported from, see preloads.installed."""
        return all(_changed_at(directory) == at for directory, at in self._installed.items())

    async def start(self) -> None:
        """Start the process; returns when it can fork. Raises ForkServerFailed, PreloadRefused; `close` it then too."""
        try:
            self._spawn()
            async with asyncio.timeout(READY_S):
                await self._prepare()
        except PreloadRefused:
            raise
        except TimeoutError:
            raise self._start_fault(f"not ready within {READY_S:g} s") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise self._start_fault(str(error)) from error

    async def fork(self, kid: str, words: int, spec: int, stream: int) -> int:
        """The pidfd of a new shim, which the caller closes. `words`: of argv, those of the interpreter.

        `spec` and `stream` are the shim's descriptors, see server.py. Raises ForkServerFailed.
        """
        exchange = asyncio.ensure_future(self._exchange({"kid": kid, "words": words}, (spec, stream)))
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            # Who asked has closed its descriptors: that shim ends by itself, its pidfd is ours to close.
            exchange.add_done_callback(_close_result)
            raise

    async def close(self) -> None:
        """End the process and wait for it, END_S at most. Idempotent."""
        if self._process_fd >= 0:
            process_fd, self._process_fd = self._process_fd, -1
            self._loop.remove_reader(process_fd)
            pidfd.send(process_fd, signal.SIGKILL)
            await asyncio.shield(asyncio.to_thread(_reap, process_fd))
        async with self._turn:  # whoever waits for an answer hears of the end by the socket's
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        if self._output_fd >= 0:
            self._loop.remove_reader(self._output_fd)
            os.close(self._output_fd)
            self._output_fd = -1

    def _spawn(self) -> None:
        """Start the process with nothing but its socket, a pipe for what it prints, and the plan's environment."""
        env = dict(self._plan.env)
        program = shutil.which(self._plan.argv[0], path=env.get("PATH"))
        if program is None:
            raise ForkServerFailed(f"no program {self._plan.argv[0]}")
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._socket.setblocking(False)
            self._output_fd, sink = os.pipe2(os.O_CLOEXEC)
            try:
                os.set_blocking(self._output_fd, False)
                self.pid = os.posix_spawn(
                    program,
                    [*self._plan.argv, str(SERVER), ROOM],
                    env,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, source, target)
                        for source, target in ((theirs.fileno(), 0), (sink, 1), (sink, 2))
                    ],
                    setsid=True,
                    setsigmask=(),
                    setsigdef=[
                        number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)
                    ],
                )
            finally:
                os.close(sink)
        try:
            self._process_fd = os.pidfd_open(self.pid)
        except OSError:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise
        self._loop.add_reader(self._process_fd, self._process_ended)
        self._loop.add_reader(self._output_fd, self._read_output)

    async def _prepare(self) -> None:
        first = {"v": 1, "given": dict(self._plan.env), "preload": self._plan.preload, "without": self._without}
        await self._send(msgspec.json.encode(first), ())
        while True:
            message, _ = await self._receive()
            if message.refused is not None:
                raise PreloadRefused(message.refused, message.reason)
            if message.ready is not None:
                self.left_out = message.left_out
                self._installed = message.installed
                return
            self._importing = message.importing or ""

    def _start_fault(self, words: str) -> ForkServerFailed:
        """A process that ends, or hangs, while it imports a module does so because of that module."""
        self._read_output()
        printed = self._output.decode(errors="replace").strip()
        reason = f"{words}; it printed: {printed[-1000:]}" if printed else words
        if self._importing:
            return PreloadRefused(self._importing, f"its import does not come to an end: {reason}")
        return ForkServerFailed(reason)

    async def _exchange(self, request: dict[str, Any], fds: tuple[int, ...]) -> int:
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._send(msgspec.json.encode(request), fds)
                    message, received = await self._receive()
            except TimeoutError:
                # Whatever it answers later would be taken for the answer to another launch.
                pidfd.send(self._process_fd, signal.SIGKILL)
                raise ForkServerFailed(f"no answer within {ANSWER_S:g} s") from None
            except msgspec.MsgspecError as error:
                raise ForkServerFailed(f"an answer that is none: {error}") from None
        if len(received) != 1:
            for fd in received:
                os.close(fd)
            raise ForkServerFailed(message.fault or "an answer without a process")
        self.forks += 1
        return received[0]

    async def _send(self, data: bytes, fds: tuple[int, ...]) -> None:
        while True:
            if self._socket is None:
                raise ForkServerFailed("it was closed")
            try:
                socket.send_fds(self._socket, [data], fds)
            except BlockingIOError:
                await self._until(self._socket, self._loop.add_writer, self._loop.remove_writer)
            except OSError as error:
                raise ForkServerFailed("it has ended") from error
            else:
                return

    async def _receive(self) -> tuple[_Message, list[int]]:
        while True:
            if self._socket is None:
                raise ForkServerFailed("it was closed")
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                await self._until(self._socket, self._loop.add_reader, self._loop.remove_reader)
                continue
            except OSError as error:
                raise ForkServerFailed("it has ended") from error
            if not data:
                raise ForkServerFailed("it has ended")
            try:
                return msgspec.json.decode(data, type=_Message), fds
            except msgspec.MsgspecError:
                for fd in fds:
                    os.close(fd)
                raise

    async def _until(self, waited: socket.socket, add: Callable[..., Any], remove: Callable[..., Any]) -> None:
        """Return when the socket can be used, or when the process has ended."""
        ready = asyncio.Event()
        add(waited, ready.set)
        try:
            await ready.wait()
        finally:
            if waited.fileno() >= 0:
                remove(waited)

    def _read_output(self) -> None:
        try:
            chunk = os.read(self._output_fd, OUTPUT_BYTES)
        except OSError:  # nothing there, or no pipe yet
            return
        self._output += chunk
        del self._output[:-OUTPUT_BYTES]
        if not chunk:
            self._loop.remove_reader(self._output_fd)

    def _process_ended(self) -> None:
        self._loop.remove_reader(self._process_fd)
        pidfd.reap(self._process_fd)
        self._ended(self)


def _changed_at(directory: str) -> int | None:
    try:
        return Path(directory).stat().st_mtime_ns
    except OSError:
        return None


def _reap(process_fd: int) -> None:
    """Blocks until the process is gone, END_S at most."""
    try:
        pidfd.has_ended(process_fd, wait_s=END_S)
        pidfd.reap(process_fd)
    finally:
        os.close(process_fd)


def _close_result(exchange: "asyncio.Future[int]") -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        os.close(exchange.result())
