"""Log records: an event name and fields.

Fields are facts such as `request_id`, `method` and `duration_ms`; never code, params, tokens or passwords.
"""

import logging
import traceback
from types import TracebackType

logger = logging.getLogger("kernelwire.rpc")


def event(level: int, name: str, **fields: str | int | float | None) -> None:
    """Write one record: `name key=value ...`, with `event` and `fields` as attributes for formatters."""
    if logger.isEnabledFor(level):
        known = {key: value for key, value in fields.items() if value is not None}
        text = " ".join(f"{key}={value}" for key, value in known.items())
        logger.log(level, "%s %s", name, text, extra={"event": name, "fields": known})


def failure(error: BaseException, *, request_id: str, method: str) -> None:
    """Write a defect of ours: the classes and the frames of `error` and of what caused it.

    The exceptions' texts are left out, because they may quote what the user sent.
    """
    event(logging.ERROR, "rpc.failure", request_id=request_id, method=method, trace="\n" + _trace(error))


def _trace(error: BaseException) -> str:
    parts: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        kind = type(cause)
        parts.append("".join(_frames(cause.__traceback__)) + f"{kind.__module__}.{kind.__qualname__}")
        cause = cause.__cause__ or cause.__context__
    return "\n...caused by:\n".join(parts)


def _frames(trace: TracebackType | None) -> list[str]:
    return traceback.format_tb(trace, limit=-20)
