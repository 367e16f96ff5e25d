"""Log records: an event name and fields.

Fields are facts such as `request_id`, `method` and `duration_ms`; never code, params, tokens or passwords.
"""

import logging
import time
import traceback
from types import TracebackType
from typing import cast

logger = logging.getLogger("kernelwire.rpc")

_GROUP_PARTS = 5


def event(level: int, name: str, **fields: str | int | float | None) -> None:
    """Write one record: `name key=value ...`, with `event` and `fields` as attributes for formatters."""
    if logger.isEnabledFor(level):
        known = _Fields({key: value for key, value in fields.items() if value is not None})
        logger.handle(_Record(level, name, known))


def failure(error: BaseException, *, request_id: str, method: str) -> None:
    """Write a defect of ours: the classes and the frames of `error` and of what caused it.

    The exceptions' texts are left out, because they may quote what the user sent.
    """
    event(logging.ERROR, "rpc.failure", request_id=request_id, method=method, trace="\n" + trace_of(error))


class _Record(logging.LogRecord):
    """A record whose facts about file, line, thread and process are those of a model: nobody shows them, and to find
    them out at each call was a fifth of the price of its line."""

    _model = vars(logging.LogRecord(logger.name, logging.INFO, "", 0, "%s %s", (), None))

    def __init__(self, level: int, event: str, fields: "_Fields") -> None:
        self.__dict__.update(self._model)
        self.created = time.time()
        self.msecs = self.created % 1 * 1000
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.args = (event, fields)
        self.event = event
        self.fields = fields


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
