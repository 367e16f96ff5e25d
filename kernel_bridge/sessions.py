"""The sessions of one host: found by id, checked against their owner, opened, listed, closed."""

import asyncio
import builtins
import logging
import secrets
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from weakref import WeakValueDictionary

from kernel_bridge import access, deletion
from kernel_bridge.adoption import Found
from kernel_bridge.clock import rfc3339, utcnow
from kernel_bridge.culler import Culler
from kernel_bridge.desk import Surroundings
from kernel_bridge.errors import InvalidArgument, LimitExceeded, SessionNotFound
from kernel_bridge.hop import Caller, OpenSession
from kernel_bridge.kernel_factory import KernelFactory
from kernel_bridge.kernel_pool import KernelPool
from kernel_bridge.kernelspecs import Kernelspecs
from kernel_bridge.record import SessionRecord, load_all, short_id, store
from kernel_bridge.recoveries import Recoveries
from kernel_bridge.results import Access, SessionClosed, SessionInfo, SessionList, SessionOpened
from kernel_bridge.session import TOO_MUCH_STORED, Session
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.stored_bytes import StoredBytes
from kernel_bridge.tally import Tally
from kernel_bridge.workdir_watch import WorkdirWatch

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
        self.list_kernels = factory.list
        self._directory = directory
        self._host_id = host_id
        self._factory = factory
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._recoveries = Recoveries(self._recover)
        self._found: dict[str, Found] = {}
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._half_deleted: list[Path] = []
        self._culler = Culler(settings, self._was_used, self._drop)
        limit = settings.limits.workdir_bytes
        self._workdir_watch = WorkdirWatch(limit, factory.place.workdirs) if limit is not None else None
        self.tally = Tally()
        self.pool = KernelPool(factory, kernelspecs, settings, self.tally)
        self.stored = StoredBytes()

    def load(self) -> None:
        """Know the sessions of earlier hosts. A record that cannot be read is left where it is and said in the log."""
        records, broken = load_all(self._directory)
        self._half_deleted = [directory for directory in broken if deletion.is_deleted(directory)]
        for directory in set(broken).difference(self._half_deleted):
            log.warning("session_record_unreadable directory=%s", directory.name)
        for record in records:
            self._add(record)

    @property
    def count(self) -> int:
        return len(self._sessions)

    @property
    def records(self) -> dict[str, SessionRecord]:
        """By session id."""
        return {name: session.record for name, session in self._sessions.items()}

    def expect_recovery(self, found: Mapping[str, Found] | None = None) -> None:
        """The last host crashed: each session is recovered before its first call, or by `recover`.

        `found`: by session id the kernels that it left behind.
        """
        self._found = dict(found or {})
        # those with a kernel first: what it says before it is connected is not heard
        self._recoveries.expect([*self._found, *self._sessions])

    async def recover(self) -> None:
        """Recover all sessions, and finish what a host that died was about to delete; calls are answered meanwhile."""
        await self._recoveries.all()
        for directory in self._half_deleted:
            await asyncio.to_thread(deletion.finish, directory, self._factory.place.workdirs)

    async def _recover(self, session: str) -> None:
        owner, found = self._sessions.get(session), self._found.pop(session, None)
        taken = False
        try:
            if owner is not None:
                taken = await owner.recover(found)
        except Exception:  # one damaged session must not keep the others from being served
            log.exception("session_not_recovered session=%s", short_id(session))
            taken = owner is not None and owner.has_kernel
        if found is not None and not taken:
            self._factory.discard(found)

    def tend(self, now: datetime | None = None) -> None:
        """Look after the journals that are open and the pool, and cull; the host calls it now and then."""
        now = now or utcnow()
        self.pool.tend()
        for session in self._sessions.values():
            if session.record.id in self._recoveries:
                continue
            try:
                session.tend(now)
                self._culler.tend(session, now)
                if self._workdir_watch is not None:
                    self._workdir_watch.tend(session, now)
            except Exception:  # one damaged session must not end the host
                log.exception("session_not_tended session=%s", short_id(session.record.id))

    def get(self, caller: Caller, session: str, needs: Access = "owner") -> Session:
        """A session in which the caller may do what `needs` says.

        Raises SessionNotFound, the same whether it is missing or somebody else's; AccessDenied, if it is shared with
        the caller, but not for that.
        """
        found = self._sessions.get(session)
        access.check(found and found.record, caller, session, needs)
        if found is None:
            raise SessionNotFound(session)
        return found

    def get_recovered(self, caller: Caller, session: str, needs: Access = "owner") -> Session | None:
        """As `get`; None if it is still to be recovered."""
        found = self.get(caller, session, needs)
        return None if session in self._recoveries else found

    async def recovered(self, caller: Caller, session: str, needs: Access = "owner") -> Session:
        """As `get`, once the session knows what a host that crashed left of it. Calls keep their order."""
        found = self.get(caller, session, needs)
        await self._recoveries.done(session)
        access.check(found.record, caller, session, needs)  # it may have been unshared meanwhile
        return found

    async def open(self, asked: OpenSession) -> SessionOpened:
        """Attach to `session`, or open a new one. A reader is let in as the session is: he neither opens a closed one
        again nor starts its kernel.

        Raises SessionNotFound, AccessDenied (a reader with `start`), KernelspecNotFound, InvalidArgument (`kernel` and
        `session` differ), LimitExceeded (sessions_per_user), KernelStartFailed (only with `start`; the session is
        there all the same).
        """
        closed: str | None = None
        if asked.session is not None:
            session = await self.recovered(asked.caller, asked.session, "write" if asked.start else "read")
            if asked.kernel is not None and asked.kernel != session.record.kernelspec:
                raise InvalidArgument("kernel", f"{session.record.kernelspec}, the kernel of this session, or nothing")
            if access.of(session.record, asked.caller) != "read":
                closed = await self._reopen(session, asked.caller)
        else:
            spec = await self.kernelspecs.get(asked.kernel or await self.kernelspecs.default())
            self._check_stored(asked.caller)
            async with self._one_at_a_time(asked.caller.user_id):
                closed = await self._make_room(asked.caller)
                session = self._create(asked.caller, spec.name)
        if asked.start:
            await session.start()
        return SessionOpened(session.record.id, session.record.kernelspec, closed)

    async def list(self, caller: Caller, limit: int, after: str | None) -> SessionList:
        """The caller's sessions and those shared with him, oldest first, from behind `after`.

        Raises InvalidArgument (no such `after`).
        """
        mine = await self._recover_all(one for one in self._sessions.values() if access.of(one.record, caller))
        if after is not None:
            ids = [session.record.id for session in mine]
            if after not in ids:
                raise InvalidArgument("after", "the id of one of your sessions")
            mine = mine[ids.index(after) + 1 :]
        page = mine[:limit]
        more = page[-1].record.id if len(mine) > len(page) and page else None
        return SessionList([info for session in page if (info := _info(session, caller)) is not None], more)

    async def close(self, caller: Caller, session: str, *, delete: bool) -> SessionClosed:
        """Close a session; with `delete` its record, log, cells and files go too.

        Raises SessionNotFound, LimitExceeded(disk), the latter never with `delete`.
        """
        found = await self.recovered(caller, session)
        if delete:
            await self._drop(found)
        else:
            await found.close()
        return SessionClosed(session, closed=True, deleted=delete)

    async def stop(self) -> bool:
        """End all kernels and cells, at the same time; the sessions stay open for the next host.

        False if a session's files could not be written to the end: the next host has to recover it.
        """
        await self._recoveries.all()  # else their cells would be the next host's, and their kernels nobody's
        await self._culler.close()
        if self._workdir_watch is not None:
            await self._workdir_watch.close()
        emptying = asyncio.create_task(self.pool.close(), name="pool-close")
        sessions = list(self._sessions.values())
        results = await asyncio.gather(*(session.stop() for session in sessions), return_exceptions=True)
        whole = True
        for session, result in zip(sessions, results, strict=True):
            if isinstance(result, BaseException):
                log.error("session_not_stopped session=%s", short_id(session.record.id), exc_info=result)
            whole = session.release() and whole
        await emptying
        return whole

    async def kill(self) -> None:
        """End all kernels now; `stop`, which waits for them, then returns soon."""
        await asyncio.gather(*(session.kill() for session in self._sessions.values()), return_exceptions=True)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _add(self, record: SessionRecord) -> Session:
        factory = self._factory
        around = Surroundings(
            self._directory / record.id,
            self._settings,
            self.pool.take,
            factory.open,
            factory.new_uid,
            factory.adopt,
            self.tally,
            self.stored,
        )
        session = Session(record, around)
        self._sessions[record.id] = session
        return session

    def _create(self, caller: Caller, kernelspec: str) -> Session:
        record = SessionRecord(
            id=f"{self._host_id}.{secrets.token_urlsafe(12)}",
            owner=caller.user_id,
            owner_name=caller.user,
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

    def _check_stored(self, caller: Caller) -> None:
        """Raises LimitExceeded (stored_bytes_per_user)."""
        limit = self._settings.stored_bytes_per_user
        if self.stored.of(caller.user_id) > limit:
            raise LimitExceeded("stored_bytes_per_user", limit, TOO_MUCH_STORED)

    async def _reopen(self, session: Session, caller: Caller) -> str | None:
        """Open it again if it is closed: it counts as one more of its owner's. The id of what was closed for it."""
        if not session.record.closed:
            await session.reopen()
            return None
        owner = session.record.owner
        async with self._one_at_a_time(owner):
            closed = await self._make_room(caller, owner) if session.record.closed else None
            await session.reopen()
        return closed

    def _one_at_a_time(self, owner: str) -> asyncio.Lock:
        """Held while a session of this user opens: what is closed for it makes room for no other one."""
        return self._opening.setdefault(owner, asyncio.Lock())

    async def _make_room(self, caller: Caller, owner: str | None = None) -> str | None:
        """Stay below the limit of open sessions: the oldest never used one is closed, else the oldest idle one.

        `owner`: whose sessions are meant, if not the caller's: nobody else closes them. Raises LimitExceeded.
        """
        limit = self._settings.sessions_per_user
        owner = owner or caller.user_id
        owned = await self._recover_all(one for one in self._sessions.values() if one.record.owner == owner)
        mine = [session for session in owned if not session.record.closed]
        if len(mine) < limit:
            return None
        unused = [session for session in mine if not session.used and session.idle_without_kernel]
        idle = [session for session in mine if session.idle_without_kernel]
        if not idle or owner != caller.user_id:
            raise LimitExceeded("sessions_per_user", limit)
        victim = (unused or idle)[0]
        await victim.close()
        return victim.record.id

    async def _recover_all(self, chosen: Iterable[Session]) -> builtins.list[Session]:
        found = [*chosen]
        for session in found:
            await self._recoveries.done(session.record.id)
        return found

    def _was_used(self, session: Session) -> bool:
        """Whether it left anything on the disk beside its record: a log, or a directory of its kernel's."""
        record = session.record
        if (self._factory.place.workdirs / record.workdir).exists():
            return True
        return next((self._directory / record.id).glob("events-*"), None) is not None

    async def _drop(self, session: Session) -> None:
        del self._sessions[session.record.id]
        self._culler.forget(session.record.id)
        if self._workdir_watch is not None:
            self._workdir_watch.forget(session.record.id)
        await session.close_for_good()
        directory = self._directory / session.record.id
        await asyncio.to_thread(deletion.delete, directory, self._factory.place.workdirs, session.record)


def _info(session: Session, caller: Caller) -> SessionInfo | None:
    """What is shown of a session; None if its files are gone or damaged, which its owner's other ones outlive."""
    try:
        return session.info(access.of(session.record, caller) or "read")
    except OSError:
        log.exception("session_unreadable session=%s", short_id(session.record.id))
        return None
