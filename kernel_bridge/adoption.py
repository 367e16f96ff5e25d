"""Kernels that a dead host left behind: which of them a new host takes over, and which have to end.

Everything in a kernel's directory may have been changed by code in the kernel: nothing there is believed unchecked.
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kernel_bridge.clock import utcnow
from kernel_bridge.connection import Connection
from kernel_bridge.errors import KernelspecNotFound
from kernel_bridge.kernel_command import Spec
from kernel_bridge.kernel_process import KernelProcess, attach
from kernel_bridge.kernel_record import INFO, KernelRecord, read_bounded, read_exit, read_info, read_record
from kernel_bridge.kernelspecs import Kernelspecs
from kernel_bridge.record import SessionRecord, short_id
from kernel_bridge.results import Exit

SUBSHELLS = b'"kernel subshells"'
"""a feature that every kernel on ipykernel's base class says it has"""

log = logging.getLogger("kernelwire.bridge.adoption")


@dataclass(frozen=True, slots=True)
class Survivor:
    """A kernel that lives and can be reached. Whoever takes it closes `process`, or makes it a Kernel's."""

    directory: Path
    spec: Spec
    connection: Connection
    process: KernelProcess
    info: bytes | None
    """its kernel_info_reply; None if it was not known to be ready"""
    ready_at: datetime

    @property
    def hands_over(self) -> bool:
        """Whether its sockets are ipykernel's, which give the routes of a dead peer to a new one of the same identity
        (ROUTER_HANDOVER). Others would take the first words of such a one for its name, and be deaf to it for good."""
        return self.spec.launcher or SUBSHELLS in (self.info or b"")


@dataclass(frozen=True, slots=True)
class Departed:
    """A kernel that ended while no host was there, or that has to, since it cannot be taken over."""

    directory: Path
    exit: Exit
    was_ready: bool


Found = Survivor | Departed


@dataclass(frozen=True, slots=True)
class Survey:
    """`found`: by session id, at most one kernel each. `leftovers`: directories of kernels that are no session's;
    `waiting`: of such as waited in the pool, and have a working directory of their own.
    """

    found: dict[str, Found] = field(default_factory=dict[str, Found])
    leftovers: list[Path] = field(default_factory=list[Path])
    waiting: list[Path] = field(default_factory=list[Path])


async def survey(
    kernels: Path, sockets: Path, sessions: Mapping[str, SessionRecord], kernelspecs: Kernelspecs
) -> Survey:
    """Look at every kernel recorded below `kernels`; nothing is sent to any, none is ended.

    A living kernel is taken over if its session is open, its sockets lie in `sockets` and its kernelspec is known. Of
    two kernels of one session the newest that lives counts.
    """
    looked = await asyncio.gather(*(_look(path, sockets, sessions, kernelspecs) for path in _directories(kernels)))
    result = Survey()
    for seen in sorted(looked, key=_importance, reverse=True):
        session = seen.record.session if seen.record is not None else None
        if seen.found is None or session is None or session in result.found:
            if isinstance(seen.found, Survivor):
                seen.found.process.close()
            waited = seen.record is not None and not seen.record.session
            (result.waiting if waited else result.leftovers).append(seen.directory)
            continue
        result.found[session] = seen.found
        log.info(
            "kernel_found session=%s kernel=%s lives=%s",
            short_id(session),
            seen.directory.name,
            isinstance(seen.found, Survivor),
        )
    return result


@dataclass(frozen=True, slots=True)
class _Seen:
    directory: Path
    record: KernelRecord | None = None
    found: Found | None = None


def _importance(seen: _Seen) -> tuple[bool, int, str]:
    return isinstance(seen.found, Survivor), seen.record.start_time if seen.record else 0, seen.directory.name


def _directories(kernels: Path) -> Iterable[Path]:
    return [path for path in kernels.iterdir() if path.is_dir()] if kernels.is_dir() else []


async def _look(
    directory: Path, sockets: Path, sessions: Mapping[str, SessionRecord], kernelspecs: Kernelspecs
) -> _Seen:
    try:
        record = read_record(directory)
        session = sessions.get(record.session) if record is not None else None
        if record is None or session is None or session.closed or record.kid != directory.name:
            return _Seen(directory, record)
        process = await attach(directory)
        if process is None:
            ended = read_exit(directory)
            departed = Departed(directory, ended.exit if ended is not None else Exit(), _was_ready(directory))
            return _Seen(directory, record, departed)
        survivor = await _survivor(directory, sockets, process, session.kernelspec, kernelspecs)
    except Exception:  # no descriptors left, say: one kernel must not keep a host from starting
        log.exception("kernel_not_looked_at kernel=%s", directory.name)
        return _Seen(directory)
    if survivor is None:
        return _Seen(directory, record, Departed(directory, Exit(), _was_ready(directory)))
    return _Seen(directory, record, survivor)


async def _survivor(
    directory: Path, sockets: Path, process: KernelProcess, kernelspec: str, kernelspecs: Kernelspecs
) -> Survivor | None:
    """None, and `process` closed, if the kernel cannot be taken over."""
    taken = False
    try:
        connection = _connection(directory, sockets)
        if connection is None:
            log.warning("kernel_not_adopted kernel=%s reason=connection", directory.name)
            return None
        if not _is_within_reach(connection.directory):
            log.warning("kernel_not_adopted kernel=%s reason=user", directory.name)
            return None
        spec = await kernelspecs.get(kernelspec)
        info = read_info(directory)
        taken = True
        return Survivor(directory, spec, connection, process, info, _ready_at(directory))
    except (KernelspecNotFound, TimeoutError):
        log.warning("kernel_not_adopted kernel=%s reason=kernelspec", directory.name)
        return None
    finally:
        if not taken:
            process.close()


def _connection(directory: Path, sockets: Path) -> Connection | None:
    """The connection file, if it is what the factory wrote: sockets in our own directory, under the kernel's name."""
    data = read_bounded(directory / "connection.json")
    try:
        found = msgspec.json.decode(data or b"", type=Connection)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    ours = Connection.of(sockets, directory.name, found.key, found.kernel_name)
    return found if found == ours and found.key else None


def _is_within_reach(sockets: Path) -> bool:
    """Whether we may connect: not to a kernel with a user of its own, if we have its host's rights no longer."""
    try:
        owner = sockets.lstat().st_uid
    except FileNotFoundError:
        return True
    return owner == os.geteuid() or os.access(sockets, os.W_OK | os.X_OK, effective_ids=True)


def _was_ready(directory: Path) -> bool:
    return os.path.lexists(directory / INFO)


def _ready_at(directory: Path) -> datetime:
    try:
        return min(utcnow(), datetime.fromtimestamp((directory / INFO).lstat().st_mtime, UTC))
    except (OSError, OverflowError, ValueError):
        return utcnow()
