"""The audit log, `<state>/audit.jsonl`: who came in, what was opened, shared and run; one JSON object a line.

It holds no password, no token and no code: of code its length and its SHA-256. Several processes append to it; each
holds a lock (flock) while it does, so that lines stay whole and one of them turns the file over.

A front's records wait some milliseconds and are written by a thread: a slow disk holds up no call, a full one loses
records, which are counted and said in the next record that can be written.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

AUDIT_FILE = "audit.jsonl"
TEXT_CHARS = 128
"""a longer text in a record is cut"""
WAIT_S = 0.02
"""how long a front gathers records before it writes them; what a kill -9 loses"""
LOCK_S = 1.0
"""how long another process may hold the file"""
WAITING_RECORDS = 10_000
"""records that wait for a slow disk; more are lost"""

Fact = str | int | float | bool | None | list[str]
Write = Callable[[int, bytes], int]

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class AuditSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record of log-ins, tokens, sessions and evaluations, `audit.jsonl` in the state directory."""

    enabled: bool = True
    """whether it is written"""
    max_bytes: Annotated[int, Meta(ge=4096)] = 32 << 20
    """size of one file; then it becomes audit.jsonl.1, and that one audit.jsonl.2"""
    files: Annotated[int, Meta(ge=1, le=1000)] = 8
    """how many files are kept, the newest one too; older ones are removed"""


class AuditFile:
    """The file. Synchronous; safe beside other processes."""

    def __init__(self, state_dir: Path, settings: AuditSettings, write: Write = os.write) -> None:
        self._path = state_dir / AUDIT_FILE
        self._settings = settings
        self._write = write

    def append(self, lines: Sequence[bytes]) -> None:
        """Append whole lines, or none of them. Raises OSError: no room, another process holds the file."""
        data = b"".join(lines)
        with contextlib.ExitStack() as open_files:
            fd = self._locked(open_files)
            size = os.fstat(fd).st_size
            if size and size + len(data) > self._settings.max_bytes:
                self._turn_over()
                fd = self._locked(open_files)
                size = os.fstat(fd).st_size
            try:
                written = 0
                while written < len(data):
                    written += self._write(fd, data[written:])
            except OSError:
                os.ftruncate(fd, size)  # no half a line
                raise

    def _locked(self, open_files: contextlib.ExitStack) -> int:
        """The descriptor of the file that has the name, locked. Raises OSError."""
        deadline = time.monotonic() + LOCK_S
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        while True:
            fd = os.open(self._path, flags, 0o600)
            open_files.callback(os.close, fd)
            while not _try_lock(fd):
                if time.monotonic() > deadline:
                    raise TimeoutError("another process holds the audit log")
                time.sleep(0.005)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), self._path.lstat()):
                    return fd
            if time.monotonic() > deadline:
                raise TimeoutError("the audit log is being moved")

    def _turn_over(self) -> None:
        """Give all files the next number; the oldest one goes. The caller holds the lock. Raises OSError."""
        names = [self._path, *(self._path.with_name(f"{AUDIT_FILE}.{n}") for n in range(1, self._settings.files))]
        names[-1].unlink(missing_ok=True)
        for older, newer in reversed([*zip(names[1:], names[:-1], strict=True)]):
            with contextlib.suppress(FileNotFoundError):
                newer.rename(older)


class AuditLog:
    """A front's way to the file: `record` neither waits nor raises. In one event loop; `close` writes what is left."""

    def __init__(self, file: AuditFile | None) -> None:
        """None: nothing is recorded."""
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit") if file is not None else None
        self._waiting: list[bytes] = []
        self._due: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._lost_here = 0
        self.lost = 0
        """records that could not be written since the start"""

    @classmethod
    def of(cls, state_dir: Path, settings: AuditSettings) -> "AuditLog":
        return cls(AuditFile(state_dir, settings) if settings.enabled else None)

    @property
    def enabled(self) -> bool:
        return self._file is not None

    def record(self, event: str, **facts: Fact) -> None:
        """Note what happened. A fact that is None is left out; a long text is cut."""
        if self._file is None:
            return
        if len(self._waiting) >= WAITING_RECORDS:
            self._lose(1)
            return
        self._waiting.append(line_of(event, facts))
        if self._due is None and self._writing is None:
            self._due = asyncio.get_running_loop().call_later(WAIT_S, self._begin)

    async def close(self) -> None:
        """Idempotent."""
        if self._thread is None:
            return
        while self._waiting or self._writing is not None:
            if self._due is not None:
                self._due.cancel()
                self._begin()
            if self._writing is not None:
                await asyncio.wait([self._writing])
                await asyncio.sleep(0)  # its callback
        await asyncio.to_thread(self._thread.shutdown, wait=True)

    def _begin(self) -> None:
        self._due = None
        if self._thread is None or not self._waiting:
            return
        lines, self._waiting = self._waiting, []
        if self._lost_here:
            lines.insert(0, line_of("records_lost", {"count": self._lost_here}))
        self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._append, lines)
        self._writing.add_done_callback(self._written)

    def _append(self, lines: list[bytes]) -> None:
        """In the thread."""
        if self._file is None:
            return
        try:
            self._file.append(lines)
        except OSError as error:
            if not self._lost_here:  # once for each time that it fails
                _log.error("audit_lost reason=%s", error.strerror or error)
            self._lose(sum(not line.startswith(_LOST) for line in lines))
        else:
            self._lost_here = 0

    def _lose(self, count: int) -> None:
        self._lost_here += count
        self.lost += count

    def _written(self, _: "asyncio.Future[None]") -> None:
        self._writing = None
        if self._waiting and self._due is None:
            self._due = asyncio.get_running_loop().call_later(WAIT_S, self._begin)


def line_of(event: str, facts: dict[str, Fact]) -> bytes:
    """One line: event, time, then the facts."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known = {name: _cut(value) for name, value in facts.items() if value is not None}
    return _encoder.encode({"event": event, "time": now, **known}) + b"\n"


_LOST = b'{"event":"records_lost"'


def _cut(value: Fact) -> Fact:
    if not isinstance(value, str):
        return value
    # What came from a stranger may hold half a surrogate pair, which is in no UTF-8
    return value[:TEXT_CHARS].encode("utf-8", "replace").decode()


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
