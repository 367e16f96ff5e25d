"""What a start makes sure of, done by a process of its own that ends with it.

The database, its upgrades and the password take SQLAlchemy, alembic and argon2: in the supervisor, which lives as long
as the service and never needs them again, they would lie for ever.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from auth.first_password import PASSWORD_FILE, Bootstrapped
from kernelwire.child import command_line, environment, started_as
from kernelwire.errors import Failed

TIMEOUT_S = 60.0
"""the database waits for other processes for some seconds, and for a slow disk"""
_ANSWER_BYTES = 1 << 16


class Answer(Struct, frozen=True):
    """What that process says of itself, on its standard output. `failed`: a sentence for whoever started it."""

    created: bool = False
    admin_password: str | None = None
    users: int = 1
    failed: str | None = None

    def __repr__(self) -> str:
        return f"Answer(created={self.created}, failed={self.failed!r})"


async def set_up(
    state_dir: Path,
    settings_fd: int,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    as_root: bool = False,
) -> Bootstrapped:
    """As auth.bootstrap.bootstrap, with the settings behind the descriptor; then as separation.require.

    arguments: more of them for `_set_up`; `env`, `as_root`: see Child.start. Raises Failed, OSError.
    """
    process = await asyncio.create_subprocess_exec(
        *command_line("_set_up", "--state-dir", str(state_dir), "--settings-fd", str(settings_fd), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        limit=_ANSWER_BYTES,
        pass_fds=[settings_fd],
        process_group=0,
        env=environment(env),
        user=started_as(as_root=as_root),
        group=started_as(as_root=as_root),
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await process.communicate()
    except TimeoutError:
        raise Failed(f"the set-up of {state_dir} took more than {TIMEOUT_S:g} s") from None
    finally:
        if process.returncode is None:  # it may be ended at any point: the next start goes on from there
            process.kill()
            await process.wait()
    try:
        answer = msgspec.json.decode(said, type=Answer)
    except msgspec.MsgspecError:
        raise Failed(f"the set-up of {state_dir} failed (exit code {process.returncode})") from None
    if answer.failed is not None:
        raise Failed(answer.failed)
    return Bootstrapped(answer.created, answer.admin_password, state_dir / PASSWORD_FILE, answer.users)


def say(descriptor: int, answer: Answer) -> None:
    """Raises OSError: nobody reads it any more."""
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(msgspec.json.encode(answer))
