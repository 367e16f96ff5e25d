"""A child process of the supervisor: a front or the host, run by `python -m kernelwire`."""

import asyncio
import contextlib
import os
import signal
import site
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kernelwire.life_line import ChildLine, open_line


class ChildFailed(Exception):
    """A child ended, or said nothing, before it was ready."""


class Child:
    """One started process, and its life line. It is ended by whoever started it, who then calls `close`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, line: ChildLine) -> None:
        self._name = name
        self._process = process
        self.line = line

    @classmethod
    async def start(
        cls,
        name: str,
        arguments: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        as_root: bool = False,
    ) -> "Child":
        """Run `kernelwire ARGUMENTS --life-fd N` in a process group of its own, so that Ctrl-C reaches only us.

        `name` is for errors; `env`: ours, if not given; `as_root`: it starts as root, though this process has stepped
        down. Raises OSError.
        """
        line, theirs = open_line()
        try:
            process = await asyncio.create_subprocess_exec(
                *command_line(*arguments, "--life-fd", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *pass_fds],
                process_group=0,
                env=environment(env),
                user=started_as(as_root=as_root),
                group=started_as(as_root=as_root),
            )
        except BaseException:
            line.close()
            raise
        finally:
            theirs.close()
        return cls(name, process, line)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self, timeout_s: float) -> None:
        """Return when the child serves. Raises ChildFailed if it ended before, or at the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                if await self.line.ready():
                    return
        except TimeoutError:
            raise ChildFailed(f"the {self._name} was not ready within {timeout_s:g} s") from None
        except OSError as error:
            raise ChildFailed(f"the {self._name} did not start: {error}") from None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.wait()
        raise ChildFailed(f"the {self._name} did not start (exit code {self._process.returncode})")

    async def wait(self) -> int | None:
        """The exit code, once it has ended."""
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def close(self) -> None:
        """Let go of the life line."""
        self.line.close()


def command_line(*arguments: str) -> list[str]:
    """`kernelwire ARGUMENTS`, by the interpreter that runs now."""
    # -P: modules come from where kernelwire is installed, never from the directory it is started in. -s: what begins as
    # root, to become another user, reads nothing of that user's before
    at_home = Path(__file__).is_relative_to(site.getusersitepackages())
    alone = ["-s"] if os.getuid() == 0 and not at_home else []
    return [sys.executable, "-P", *alone, "-m", "kernelwire", *arguments]


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, or `env`, without the settings in it: what is in force, the supervisor hands on."""
    given = os.environ if env is None else env
    return {name: value for name, value in given.items() if not name.startswith("KERNELWIRE_")}


def started_as(*, as_root: bool) -> int | None:
    """User and group of a new process; None: as this process acts. Only one that stepped down can ask for root."""
    return 0 if as_root else None
