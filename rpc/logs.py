"""Log records: an event name and fields.

Fields are facts such as `request_id`, `method` and `duration_ms`; never code, params, tokens or passwords.
"""

import logging
import traceback
from types import TracebackType
from typing import cast

logger = logging.getLogger("kernelwire.rpc")

_GROUP_PARTS = 5


def event(level: int, name: str, **fields: str | int | float | None) -> None:
    """Write one record: `name key=value ...`, with `event` and `fields` as attributes for formatters."""
    if logger.isEnabledFor(level):
        known = _Fields((key, value) for key, value in fields.items() if value is not None)
        logger.log(level, "%s %s", name, known, extra={"event": name, "fields": known})


def failure(error: BaseException, *, request_id: str, method: str) -> None:
    """Write a defect of ours: the classes and the frames of `error` and of what caused it.

    The exceptions' texts are left out, because they may quote what the user sent.
    """
    event(logging.ERROR, "rpc.failure", request_id=request_id, method=method, trace="\n" + trace_of(error))


class _Fields(dict[str, str | int | float]):
    def __str__(self) -> str:
        """Made only where a formatter asks for the text."""
        return " ".join(f"{key}={value}" for key, value in self.items())


def trace_of(error: BaseException, seen: set[int] | None = None) -> str:
    """Classes and frames, without any exception's text: of `error`, of what caused it, and of the parts of a group.

    `seen`: ids of exceptions that are left out, as they were shown already.
    """
    parts: list[str] = []
    seen = set() if seen is None else seen
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        kind = type(cause)
        parts.append("".join(_frames(cause.__traceback__)) + f"{kind.__module__}.{kind.__qualname__}")
        if isinstance(cause, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", cause)
            parts += [f"...part of the group:\n{trace_of(part, seen)}" for part in group.exceptions[:_GROUP_PARTS]]
        cause = cause.__cause__ or cause.__context__
    return "\n...caused by:\n".join(parts)


def _frames(trace: TracebackType | None) -> list[str]:
    return traceback.format_tb(trace, limit=-20)
