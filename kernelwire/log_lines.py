"""Log lines: events with fields as JSON, or as text for people."""

import json
import re
from datetime import datetime
from typing import Any

import msgspec

from kernel_bridge.log_structlog import EventDict

_PLAIN = re.compile(r"[!#-~]+")
_HEAD = ("time", "level", "process", "pid", "event", "trace")
_COLOURS = {"warning": "33", "error": "31", "critical": "31"}
_FAINT = "2"


def as_json(_logger: Any, _name: str, event: EventDict) -> str:
    """One line; a text that is no Unicode keeps its surrogates as escapes."""
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(event, default=str)


class TextLines:
    """`18:04:11 info front rpc.call method=evaluate ...`, and a trace on lines of its own.

    Values that could be taken for something else, or that hold control characters, are quoted. `colours`: faint where
    all is well, so that what the program says to its user stands out.
    """

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: Any, _name: str, event: EventDict) -> str:
        level = str(event.get("level", ""))
        moment = datetime.fromisoformat(str(event["time"])).astimezone()
        fields = " ".join(f"{key}={_quoted(value)}" for key, value in event.items() if key not in _HEAD)
        line = f"{moment:%H:%M:%S} {level:<7} {event.get('process', ''):<5} {event['event']} {fields}".rstrip()
        if self._colours:
            line = f"\x1b[{_COLOURS.get(level, _FAINT)}m{line}\x1b[0m"
        trace = str(event.get("trace") or "").strip("\n")
        return "\n    ".join([line, *trace.splitlines()]) if trace else line


def _quoted(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
