"""From a record of the standard library's logging to an event with fields, for structlog's processors.

The service's own modules log `event_name key=%s ...` (or, in `rpc`, fields); what libraries log is not trusted: their
arguments and the texts of exceptions may quote what a user sent, so neither comes into a log.
"""

import functools
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from rpc.logs import trace_of

OWN = ("kernelwire", "auth")
"""names of the loggers that are ours; theirs begin with one of them and a dot"""

_TEMPLATE = re.compile(r"([A-Za-z][\w.]*)((?: \w+=%[-#0-9.]*[a-z])*)")
_WORDS = re.compile(r"[\w .,;:%-]*")
_KEY = re.compile(r"(\w+)=%")
_TEXT_CHARS = 200


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """The record's time, level, event, fields and trace. Raises TypeError if its arguments do not fit its text."""
    second, part = divmod(int(record.created * 1000), 1000)
    made: dict[str, Any] = {"time": f"{_second(second)}.{part:03d}Z", "level": record.levelname.lower()}
    given = getattr(record, "fields", None)
    if isinstance(given, Mapping):
        made["event"] = getattr(record, "event", "?")
        made.update(cast("Mapping[str, Any]", given))
    elif record.name.partition(".")[0] in OWN:
        made.update(_own(record))
    else:
        made.update({"event": "library", "logger": record.name, "text": leading_words(str(record.msg))})
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        made["trace"] = trace_of(error)
    return made


@functools.lru_cache(maxsize=2)
def _second(epoch_s: int) -> str:
    """Up to its seconds, which many lines share. RFC 3339, UTC."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat()[:19]


def _own(record: logging.LogRecord) -> dict[str, Any]:
    """`event_name key=%s` and its arguments; another text, if ever there is one, as it is."""
    found = _keys(str(record.msg))
    given = record.args
    if found is None or not isinstance(given, tuple):
        return {"event": "message", "text": str(record.msg) % given if given else str(record.msg)}
    name, keys = found
    values = [_plain(value) for value in given]
    return {"event": name, **dict(zip(keys, values, strict=False))}


@functools.lru_cache(maxsize=512)
def _keys(template: str) -> tuple[str, tuple[str, ...]] | None:
    found = _TEMPLATE.fullmatch(template)
    return (found[1], tuple(_KEY.findall(found[2]))) if found is not None else None


def _plain(value: object) -> str | int | float | None:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def leading_words(text: str) -> str:
    """`text` up to the first repr in it, such as `Exception in callback f` of `Exception in callback f('...')`."""
    found = _WORDS.match(text)
    return found[0].strip()[:_TEXT_CHARS] if found is not None else ""
