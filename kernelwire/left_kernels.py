"""The end of kernels that a host left behind, by a process that may signal them: of the user whose they are."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from kernelwire.child import command_line, environment, started_as
from kernelwire.credentials import Identity
from kernelwire.errors import Failed

BOUND_S = 60.0


async def end(
    state_dir: Path,
    settings_fd: int,
    run_as: Identity | None,
    *,
    env: Mapping[str, str] | None = None,
    as_root: bool = False,
) -> None:
    """End those of `state_dir`, whose host's lock the caller has taken or knows to be free. Raises Failed, OSError.

    run_as: whose they are; None: ours. `env`, `as_root`: see Child.start.
    """
    arguments = ["--state-dir", str(state_dir), "--settings-fd", str(settings_fd), *run_as_arguments(run_as)]
    process = await asyncio.create_subprocess_exec(
        *command_line("_end_kernels", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        pass_fds=[settings_fd],
        process_group=0,
        env=environment(env),
        user=started_as(as_root=as_root),
        group=started_as(as_root=as_root),
    )
    try:
        async with asyncio.timeout(BOUND_S):
            code = await process.wait()
    except TimeoutError:
        code = None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise Failed(f"kernels that were left behind in {state_dir} could not be ended (exit code {code})")


def run_as_arguments(identity: Identity | None) -> list[str]:
    """For a child that is to become this user at its start."""
    return [] if identity is None else ["--run-as", str(identity)]
