"""What each line of the log says of the call that it belongs to."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache

from kernel_bridge import hop
from kernel_bridge.log_structlog import bind_contextvars, reset_contextvars

# Clients name sessions, so nothing but what a session's id can be may come into the log.
_SESSION = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{1,8})[A-Za-z0-9_-]*")


@lru_cache(maxsize=1024)
def session_in_log(session: str | None) -> str | None:
    """What tells sessions apart comes after the id of the host, which all of them share. None if it is no such id."""
    found = _SESSION.fullmatch(session or "")
    return found[1] if found is not None else None


@contextmanager
def of_call(asked: hop.AnyRequest) -> Generator[None]:
    """Lines of the block, and of tasks that it starts, have the call's request_id and session (8 characters)."""
    # structlog's own bound_contextvars looks through the whole context, twice for each cell
    before = bind_contextvars(**_facts(asked))
    try:
        yield
    finally:
        reset_contextvars(**before)


def enter_call(asked: hop.AnyRequest) -> None:
    """As `of_call`, from now on: for a task that is the call's own, as its context ends with it."""
    bind_contextvars(**_facts(asked))


def _facts(asked: hop.AnyRequest) -> dict[str, str]:
    facts = {"request_id": asked.request_id} if asked.request_id else {}
    session = session_in_log(getattr(asked, "session", None))
    if session is not None:
        facts["session"] = session
    return facts
