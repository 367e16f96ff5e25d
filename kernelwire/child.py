"""A child process of the supervisor: a front or the host, run by `python -m kernelwire`."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Protocol

READY = b"r"


class Running(Protocol):
    """A process that the supervisor answers for."""

    async def wait(self) -> int | None: ...

    def signal(self, number: signal.Signals) -> None: ...

    def close(self) -> None: ...


async def end(process: Running, grace_s: float) -> None:
    """SIGTERM, and SIGKILL if it has not ended after `grace_s`; returns when it has."""
    process.signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(grace_s):
            await process.wait()
    except TimeoutError:
        process.signal(signal.SIGKILL)
        await process.wait()
    process.close()


class ChildFailed(Exception):
    """A child ended, or said nothing, before it was ready."""


class Child:
    """One started process. On its life line, a socket, it says that it is ready and sees when we are gone."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self.name = name
        self.process = process
        self._line = line

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], *, pass_fds: Sequence[int] = ()) -> "Child":
        """Run `kernelwire ARGUMENTS --life-fd N` in a process group of its own, so that Ctrl-C reaches only us."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            # -P: modules come from where kernelwire is installed, never from the directory it is started in
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "kernelwire",
                *arguments,
                "--life-fd",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *pass_fds],
                process_group=0,
                env=_environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(name, process, ours)

    async def ready(self, timeout_s: float) -> None:
        """Return when the child serves. Raises ChildFailed if it ended before, or at the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                said = await asyncio.get_running_loop().sock_recv(self._line, 1)
        except TimeoutError:
            raise ChildFailed(f"the {self.name} was not ready within {timeout_s:g} s") from None
        except OSError as error:
            raise ChildFailed(f"the {self.name} did not start: {error}") from None
        if said != READY:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.wait()
            raise ChildFailed(f"the {self.name} did not start (exit code {self.process.returncode})")

    async def wait(self) -> int | None:
        """The exit code, once it has ended."""
        return await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self) -> None:
        """Let go of the life line: a front takes that for the supervisor's end."""
        self._line.close()


def _environment() -> dict[str, str]:
    """Ours without the settings in it: what is in force, the supervisor hands on."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KERNELWIRE_")}


class LifeLine:
    """The child's end of the line."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._socket.set_inheritable(False)

    def say_ready(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.send(READY)

    async def supervisor_gone(self) -> None:
        """Return when the supervisor has ended, however it did."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_recv(self._socket, 1)

    def close(self) -> None:
        self._socket.close()
