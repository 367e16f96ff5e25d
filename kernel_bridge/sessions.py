"""The sessions of one host: found by id, checked against their owner, opened, listed, closed."""

import asyncio
import logging
import secrets
import shutil
from datetime import datetime
from pathlib import Path

from kernel_bridge.clock import rfc3339, utcnow
from kernel_bridge.culler import Culler
from kernel_bridge.desk import Surroundings
from kernel_bridge.errors import InvalidArgument, LimitExceeded, SessionNotFound
from kernel_bridge.hop import Caller, OpenSession
from kernel_bridge.kernel_factory import KernelFactory
from kernel_bridge.kernelspecs import Kernelspecs
from kernel_bridge.record import SessionRecord, load_all, short_id, store
from kernel_bridge.results import SessionClosed, SessionInfo, SessionList, SessionOpened
from kernel_bridge.session import Session
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.tally import Tally

log = logging.getLogger("kernelwire.bridge.sessions")


class Sessions:
    """Owned by the host process. `load` reads the records once; `stop` ends every kernel and closes every file."""

    def __init__(
        self,
        directory: Path,
        host_id: str,
        kernelspecs: Kernelspecs,
        factory: KernelFactory,
        settings: BridgeSettings,
    ) -> None:
        self.kernelspecs = kernelspecs
        self._directory = directory
        self._host_id = host_id
        self._factory = factory
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._unrecovered: set[str] = set()
        self._culler = Culler(settings, self._was_used, self._drop)
        self.tally = Tally()

    def load(self) -> None:
        """Know the sessions of earlier hosts. A record that cannot be read is left where it is and said in the log."""
        records, broken = load_all(self._directory)
        for directory in broken:
            log.warning("session_record_unreadable directory=%s", directory.name)
        for record in records:
            self._add(record)

    @property
    def count(self) -> int:
        return len(self._sessions)

    def expect_recovery(self) -> None:
        """The last host crashed: each session is recovered before its first call, or by `recover`."""
        self._unrecovered = set(self._sessions)

    async def recover(self) -> None:
        """End or queue again, session by session, the cells that had not ended; calls are answered meanwhile."""
        for session in list(self._unrecovered):
            self._recover(session)
            await asyncio.sleep(0)

    def _recover(self, session: str) -> None:
        if session not in self._unrecovered:
            return
        self._unrecovered.discard(session)
        found = self._sessions.get(session)
        if found is None:
            return
        try:
            found.recover()
        except Exception:  # one damaged session must not keep the others from being served
            log.exception("session_not_recovered session=%s", short_id(session))

    def tend(self, now: datetime | None = None) -> None:
        """Look after the journals that are open, and cull; the host calls it now and then."""
        now = now or utcnow()
        for session in self._sessions.values():
            try:
                session.tend()
                if session.record.id not in self._unrecovered:
                    self._culler.tend(session, now)
            except Exception:  # one damaged session must not end the host
                log.exception("session_not_tended session=%s", short_id(session.record.id))

    def get(self, caller: Caller, session: str) -> Session:
        """The caller's session. Raises SessionNotFound, the same whether it is missing or somebody else's."""
        found = self._sessions.get(session)
        if found is None or found.record.owner != caller.user_id:
            raise SessionNotFound(session)
        self._recover(session)
        return found

    async def open(self, asked: OpenSession) -> SessionOpened:
        """Attach to `session`, or open a new one.

        Raises SessionNotFound, KernelspecNotFound, InvalidArgument (`kernel` and `session` differ), LimitExceeded
        (sessions_per_user), KernelStartFailed (only with `start`; the session is there all the same).
        """
        closed: str | None = None
        if asked.session is not None:
            session = self.get(asked.caller, asked.session)
            if asked.kernel is not None and asked.kernel != session.record.kernelspec:
                raise InvalidArgument("kernel", f"{session.record.kernelspec}, the kernel of this session, or nothing")
            await session.reopen()
        else:
            spec = await self.kernelspecs.get(asked.kernel or await self.kernelspecs.default())
            closed = await self._make_room(asked.caller)
            session = self._create(asked.caller, spec.name)
        if asked.start:
            await session.start()
        return SessionOpened(session.record.id, session.record.kernelspec, closed)

    def list(self, caller: Caller, limit: int, after: str | None) -> SessionList:
        """The caller's sessions, oldest first, from behind `after`. Raises InvalidArgument (no such `after`)."""
        mine = [session for session in self._sessions.values() if session.record.owner == caller.user_id]
        if after is not None:
            ids = [session.record.id for session in mine]
            if after not in ids:
                raise InvalidArgument("after", "the id of one of your sessions")
            mine = mine[ids.index(after) + 1 :]
        page = mine[:limit]
        more = page[-1].record.id if len(mine) > len(page) and page else None
        return SessionList([info for session in page if (info := _info(session)) is not None], more)

    async def close(self, caller: Caller, session: str, *, delete: bool) -> SessionClosed:
        """Close a session; with `delete` its record, log, cells and files go too.

        Raises SessionNotFound, LimitExceeded(disk), the latter never with `delete`.
        """
        found = self.get(caller, session)
        if delete:
            await self._drop(found)
        else:
            await found.close()
        return SessionClosed(session, closed=True, deleted=delete)

    async def stop(self) -> bool:
        """End all kernels and cells, at the same time; the sessions stay open for the next host.

        False if a session's files could not be written to the end: the next host has to recover it.
        """
        await self._culler.close()
        sessions = list(self._sessions.values())
        results = await asyncio.gather(*(session.stop() for session in sessions), return_exceptions=True)
        whole = True
        for session, result in zip(sessions, results, strict=True):
            if isinstance(result, BaseException):
                log.error("session_not_stopped session=%s", short_id(session.record.id), exc_info=result)
            whole = session.release() and whole
        return whole

    async def kill(self) -> None:
        """End all kernels now; `stop`, which waits for them, then returns soon."""
        await asyncio.gather(*(session.kill() for session in self._sessions.values()), return_exceptions=True)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _add(self, record: SessionRecord) -> Session:
        around = Surroundings(self._directory / record.id, self._settings, self._factory.open, self.tally)
        session = Session(record, around)
        self._sessions[record.id] = session
        return session

    def _create(self, caller: Caller, kernelspec: str) -> Session:
        record = SessionRecord(
            id=f"{self._host_id}.{secrets.token_urlsafe(12)}",
            owner=caller.user_id,
            kernelspec=kernelspec,
            workdir=secrets.token_hex(8),
            created_at=rfc3339(utcnow()),
        )
        try:
            store(self._directory / record.id, record)
        except BaseException:
            shutil.rmtree(self._directory / record.id, ignore_errors=True)
            raise
        return self._add(record)

    async def _make_room(self, caller: Caller) -> str | None:
        """Stay below the limit of open sessions: the oldest never used one is closed, else the oldest idle one."""
        limit = self._settings.sessions_per_user
        mine = [s for s in self._sessions.values() if s.record.owner == caller.user_id and not s.record.closed]
        if len(mine) < limit:
            return None
        unused = [session for session in mine if not session.used and session.idle_without_kernel]
        idle = [session for session in mine if session.idle_without_kernel]
        if not idle:
            raise LimitExceeded("sessions_per_user", limit)
        victim = (unused or idle)[0]
        await victim.close()
        return victim.record.id

    def _was_used(self, session: Session) -> bool:
        """Whether it left anything on the disk beside its record: a log, or a directory of its kernel's."""
        record = session.record
        if (self._factory.place.workdirs / record.workdir).exists():
            return True
        return next((self._directory / record.id).glob("events-*"), None) is not None

    async def _drop(self, session: Session) -> None:
        del self._sessions[session.record.id]
        self._culler.forget(session.record.id)
        await session.close_for_good()
        await asyncio.to_thread(self._delete, session.record)

    def _delete(self, record: SessionRecord) -> None:
        for directory in (self._directory / record.id, self._factory.place.workdirs / record.workdir):
            shutil.rmtree(directory, ignore_errors=True)


def _info(session: Session) -> SessionInfo | None:
    """What is shown of a session; None if its files are gone or damaged, which its owner's other ones outlive."""
    try:
        return session.info()
    except OSError:
        log.exception("session_unreadable session=%s", short_id(session.record.id))
        return None
