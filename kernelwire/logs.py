"""The log of a process: where its lines go, in which form, and from which level on."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Literal, TextIO, TypeVar

from msgspec import Struct

from kernel_bridge.log_structlog import Processor, merge_contextvars
from kernelwire.log_lines import TextLines, as_json
from kernelwire.log_records import OWN, facts, leading_words

T = TypeVar("T")

log = logging.getLogger("kernelwire.process")


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log of supervisor, front and host, which goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """events below it are left out"""
    format: Literal["auto", "text", "json"] = "auto"
    """auto: text on a terminal, else JSON, one object a line"""


def configure(settings: LogSettings, process: str, stream: TextIO | None = None) -> None:
    """Log from now on to `stream` (standard error), with `process` in each line; also what nobody catches.

    Called once by each process of the service, before its event loop. Libraries are heard from `warning` on.
    """
    out = stream or sys.stderr
    handler = _Handler(out)
    handler.setFormatter(_formatter(settings, process, terminal=out.isatty()))
    logging.root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    logging.root.setLevel(max(level, logging.WARNING))
    for name in OWN:
        logging.getLogger(name).setLevel(level)
    sys.excepthook = _on_uncaught
    sys.unraisablehook = lambda unraisable: _on_lost("unraisable", unraisable.exc_value)
    threading.excepthook = lambda lost: _on_lost("thread_failed", lost.exc_value)


def run(main: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run; what the event loop says of lost exceptions comes without their texts."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(_on_loop_exception)
        return runner.run(main)


def _formatter(settings: LogSettings, process: str, *, terminal: bool) -> logging.Formatter:
    text = terminal if settings.format == "auto" else settings.format == "text"
    names: dict[str, str | int] = {"process": process} if text else {"process": process, "pid": os.getpid()}

    colours = terminal and not os.environ.get("NO_COLOR")  # https://no-color.org
    render: Processor = TextLines(colours=colours) if text else as_json
    return _Lines(names, render)


class _Lines(logging.Formatter):
    """structlog's processors for each record; its own formatter copies the record first, which costs more than they."""

    def __init__(self, names: Mapping[str, str | int], render: Processor) -> None:
        super().__init__()
        self._names = names
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        event = merge_contextvars(None, "", facts(record))
        event.update(self._names)
        return str(self._render(None, "", event))


class _Handler(logging.StreamHandler[TextIO]):
    def flush(self) -> None:
        """Standard error writes each line itself."""
        if not getattr(self.stream, "line_buffering", False):
            super().flush()

    def handleError(self, record: logging.LogRecord) -> None:
        """The standard library would show the record's arguments, whatever they are."""
        try:
            self.stream.write(f'{{"level":"error","event":"log_record_lost","logger":"{record.name}"}}\n')
        except (OSError, ValueError):
            return  # nobody reads the log any more: there is nowhere left to say it


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("process_failed", exc_info=(kind, error, trace))


def _on_lost(event: str, error: BaseException | None) -> None:
    log.error(event, exc_info=error)


def _on_loop_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # what follows the words, and the other members of `context`, are reprs of arguments, tasks and exceptions
    log.error(
        "loop_exception text=%s", leading_words(str(context.get("message", ""))), exc_info=context.get("exception")
    )
