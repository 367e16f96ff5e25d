"""From a record of the standard library's logging to an event with fields; structlog's processors do the rest.

The service's own modules log `event_name key=%s ...` (or, in `rpc`, fields); what libraries log is not trusted: their
arguments and the texts of exceptions may quote what a user sent, so neither comes into a log.
"""

import functools
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from structlog.typing import EventDict

from rpc.logs import trace_of

OWN = ("kernelwire", "auth")
"""names of the loggers that are ours; theirs begin with one of them and a dot"""

_TEMPLATE = re.compile(r"([A-Za-z][\w.]*)((?: \w+=%[-#0-9.]*[a-z])*)")
_WORDS = re.compile(r"[\w .,;:%-]*")
_KEY = re.compile(r"(\w+)=%")
_TEXT_CHARS = 200


def facts(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """A structlog processor, the first one: the record's time, level, event, fields and trace in place of its text."""
    record = cast("logging.LogRecord", event["_record"])
    made: EventDict = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "level": record.levelname.lower(),
    }
    given = getattr(record, "fields", None)
    if isinstance(given, Mapping):
        made["event"] = getattr(record, "event", "?")
        made.update(cast("Mapping[str, Any]", given))
    elif record.name.partition(".")[0] in OWN:
        made.update(_own(record, event))
    else:
        made.update({"event": "library", "logger": record.name, "text": leading_words(str(record.msg))})
    error = event["exc_info"][1] if event.get("exc_info") else None
    if error is not None:
        made["trace"] = trace_of(error)
    return {**made, "_record": record, "_from_structlog": False}


def _own(record: logging.LogRecord, event: EventDict) -> dict[str, Any]:
    """`event_name key=%s` and its arguments; another text, if ever there is one, as it is."""
    found = _keys(str(record.msg))
    given = event["positional_args"]
    if found is None or not isinstance(given, tuple):
        return {"event": "message", "text": str(record.msg) % given if given else str(record.msg)}
    name, keys = found
    values = [_plain(value) for value in cast("tuple[object, ...]", given)]
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
