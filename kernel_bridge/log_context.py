"""What each line of the log says of the call that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel_bridge import hop

_NOTHING: Mapping[str, str] = {}
_facts: ContextVar[Mapping[str, str]] = ContextVar("kernelwire_log_facts", default=_NOTHING)
# Clients name sessions, so nothing but what a session's id can be may come into the log.
_SESSION = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{1,8})[A-Za-z0-9_-]*")


@lru_cache(maxsize=1024)
def session_in_log(session: str | None) -> str | None:
    """What tells sessions apart comes after the id of the host, which all of them share. None if it is no such id."""
    found = _SESSION.fullmatch(session or "")
    return found[1] if found is not None else None


def facts() -> Mapping[str, str]:
    """What lines of this task say beside their own fields."""
    return _facts.get()


@contextmanager
def saying(**more: str) -> Generator[None]:
    """Lines of the block, and of tasks that it starts, say `more` too."""
    token = _facts.set({**_facts.get(), **more})
    try:
        yield
    finally:
        _facts.reset(token)


def of_call(asked: hop.AnyRequest) -> AbstractContextManager[None]:
    """Lines of the block, and of tasks that it starts, have the call's request_id and session (8 characters)."""
    return saying(**_of(asked))


def enter_call(asked: hop.AnyRequest) -> None:
    """As `of_call`, from now on: for a task that is the call's own, as its context ends with it."""
    _facts.set({**_facts.get(), **_of(asked)})


def _of(asked: hop.AnyRequest) -> dict[str, str]:
    known = {"request_id": asked.request_id} if asked.request_id else {}
    session = session_in_log(getattr(asked, "session", None))
    if session is not None:
        known["session"] = session
    return known
