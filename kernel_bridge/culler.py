"""The culler: announces what culling.py decides, and does it when its time has come."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import UTC, datetime

from kernel_bridge.clock import rfc3339
from kernel_bridge.culling import Action, Announce, Announced, Culling, Facts, Rule
from kernel_bridge.errors import BridgeError
from kernel_bridge.event_contents import Notice
from kernel_bridge.record import short_id
from kernel_bridge.session import Session
from kernel_bridge.settings import BridgeSettings

log = logging.getLogger("kernelwire.bridge.culler")

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class Culler:
    """Owned by the host's sessions, which call `tend` for each of them now and then and, before they stop, `close`.

    `was_used` says of a session whether it left anything on the disk; `drop` deletes it.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        was_used: Callable[[Session], bool],
        drop: Callable[[Session], Awaitable[None]],
    ) -> None:
        self._culling = Culling(settings)
        self._was_used = was_used
        self._drop = drop
        self._used: set[str] = set()
        self._announced: dict[str, dict[Rule, Announced]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def tend(self, session: Session, now: datetime) -> None:
        """Do what is due with the session; what takes longer goes on in a task."""
        name = session.record.id
        if session.record.closed:
            self.forget(name)
            return
        if name in self._tasks:
            return
        facts = self._facts(session, now)
        action = self._culling.due(now.timestamp(), facts)
        if action is not None:
            self._take(session, action, facts)

    def forget(self, session: str) -> None:
        """The session is closed or deleted."""
        self._announced.pop(session, None)
        self._used.discard(session)

    async def close(self) -> None:
        """Wait for what is under way: kernels that stop, which is bounded."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def _facts(self, session: Session, now: datetime) -> Facts:
        name = session.record.id
        if session.busy:
            session.activity.touch(now)
        facts = Facts(
            last_activity=session.activity.last.timestamp(),
            busy=session.busy,
            used=name in self._used or session.kernel_since is not None or self._was_used(session),
            kernel_since=session.kernel_since.timestamp() if session.kernel_since is not None else None,
            announced=self._announced.get(name, {}),
        )
        if facts.used:
            self._used.add(name)
        return facts

    def _take(self, session: Session, action: Action, facts: Facts) -> None:
        name = session.record.id
        if isinstance(action, Announce):
            session.notify(_ahead(action, self._culling.limit_s(action.rule)))
            self._announced.setdefault(name, {})[action.rule] = action.announced
            return
        work = self._apply(session, action.rule, facts)
        task = asyncio.create_task(work, name=f"cull-{action.rule}", context=Context())
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _apply(self, session: Session, rule: Rule, facts: Facts) -> None:
        # Whoever used it between the decision and this first step keeps it. From here to its first wait the session
        # is left by nobody else: later calls find the kernel stopping, or the session closed.
        if rule != "max_lifetime" and session.activity.last.timestamp() != facts.last_activity:
            return
        name, limit_s = session.record.id, self._culling.limit_s(rule)
        log.info("session_culled session=%s rule=%s", short_id(name), rule)
        try:
            match rule:
                case "unused_session":
                    await self._drop(session)
                case "session_idle":
                    await session.close_with(_closed(limit_s))
                case _:
                    await session.end_kernel(_ended(rule, limit_s), _anew(rule, limit_s))
            self._announced.pop(name, None)
        except (BridgeError, OSError, TimeoutError) as error:  # it is due again at the next round
            log.warning("session_not_culled session=%s rule=%s error=%s", short_id(name), rule, error)
        except Exception:  # a fault here must not end the host
            log.exception("session_not_culled session=%s rule=%s", short_id(name), rule)


def _ahead(action: Announce, limit_s: float) -> Notice:
    at = rfc3339(datetime.fromtimestamp(action.announced.at, UTC))
    span = _words(limit_s)
    match action.rule:
        case "session_idle":
            text = f"a session that is not used for {span} is closed: this one at {at}, unless it is used before"
            return Notice("session_close_ahead", text, at=at)
        case "max_lifetime":
            text = (
                f"a kernel may live for {span}: this one is ended at {at}, with what runs in it; variables will be gone"
            )
            return Notice("kernel_end_ahead", text, at=at)
        case _:
            text = f"a kernel that is idle for {span} is stopped: this one at {at}, unless it is used before; "
            return Notice("kernel_stop_ahead", f"{text}variables will be gone", at=at)


def _ended(rule: Rule, limit_s: float) -> Notice:
    if rule == "max_lifetime":
        return Notice("kernel_ended", f"the kernel was ended after its lifetime of {_words(limit_s)}")
    return Notice("kernel_stopped", f"the kernel was stopped after {_words(limit_s)} without use")


def _anew(rule: Rule, limit_s: float) -> Notice:
    what = _ended(rule, limit_s).message
    return Notice("kernel_started_anew", f"{what}: this is a new one, variables are gone")


def _closed(limit_s: float) -> Notice:
    return Notice("session_closed", f"the session was closed after {_words(limit_s)} without use: login opens it again")


def _words(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
