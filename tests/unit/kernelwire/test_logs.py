"""Records of the standard library as events with fields; and nothing that a user sent."""

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from kernelwire import log_lines, logs
from kernelwire.logs import LogSettings
from rpc import logs as rpc_logs

SECRET = "hunter2-and-more"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def kept() -> Iterator[None]:
    """Whatever `configure` changes in this process is as it was afterwards."""
    root, own = logging.root, [logging.getLogger(name) for name in ("kernelwire", "auth")]
    before = root.handlers[:], root.level, [logger.level for logger in own]
    yield
    root.handlers[:], level, levels = before
    root.setLevel(level)
    for logger, old in zip(own, levels, strict=True):
        logger.setLevel(old)


@pytest.fixture
def out(kept: None, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The log of this process, as JSON."""
    return _configured(monkeypatch, io.StringIO(), LogSettings(level="debug"))


def _configured(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, settings: LogSettings) -> io.StringIO:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logs.configure(settings, "front", stream)
    return stream


def _events(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_template_becomes_an_event_with_fields(out: io.StringIO) -> None:
    logging.getLogger("kernelwire.bridge.x").warning("host_silent calls=%d share=%.1f error=%s", 3, 0.25, KeyError("k"))
    (event,) = _events(out)
    time = event.pop("time")
    assert time.endswith("Z")
    assert len(time) == len("2026-11-22T17:38:04.611Z")
    assert event == {
        "level": "warning",
        "event": "host_silent",
        "calls": 3,
        "share": 0.25,
        "error": "'k'",
        "process": "front",
        "pid": os.getpid(),
    }


def test_an_event_of_rpc_keeps_its_fields(out: io.StringIO) -> None:
    rpc_logs.event(logging.INFO, "rpc.call", method="whoami", duration_ms=1.5, session=None)
    (event,) = _events(out)
    assert (event["event"], event["method"], event["duration_ms"]) == ("rpc.call", "whoami", 1.5)
    assert "session" not in event


def test_lines_of_a_call_carry_its_request_id(out: io.StringIO) -> None:
    with bound_contextvars(request_id="r1", session="abcdefgh"):
        logging.getLogger("kernelwire.x").info("inside")
    logging.getLogger("kernelwire.x").info("outside")
    inside, outside = _events(out)
    assert (inside["request_id"], inside["session"]) == ("r1", "abcdefgh")
    assert "request_id" not in outside


def test_another_text_of_ours_is_kept(out: io.StringIO) -> None:
    logging.getLogger("auth.x").info("Two words: %s", 2)
    assert _events(out)[0]["text"] == "Two words: 2"


def test_texts_of_exceptions_stay_out(out: io.StringIO) -> None:
    log = logging.getLogger("kernelwire.x")
    try:
        try:
            raise ExceptionGroup("all of it " + SECRET, [ValueError(SECRET)])
        except ExceptionGroup as group:
            raise KeyError(SECRET) from group
    except KeyError:
        log.exception("call_failed op=%s", "x")
    (event,) = _events(out)
    assert SECRET not in out.getvalue()
    assert event["event"] == "call_failed"
    for name in ("builtins.KeyError", "builtins.ExceptionGroup", "builtins.ValueError", "test_logs.py"):
        assert name in event["trace"]


def test_an_exception_group_that_is_its_own_context_ends(out: io.StringIO) -> None:
    part = ValueError(SECRET)
    group = ExceptionGroup(SECRET, [part])
    part.__context__ = group
    logging.getLogger("kernelwire.x").error("failed", exc_info=group)
    assert "ValueError" in _events(out)[0]["trace"]
    assert SECRET not in out.getvalue()


def test_what_libraries_say_is_cut_to_its_template(out: io.StringIO) -> None:
    logging.getLogger("asyncio").error(f"Task exception was never retrieved\nfuture: <{SECRET}>")
    logging.getLogger("aiohttp.server").error("Error handling request from %s", SECRET, exc_info=ValueError(SECRET))
    logging.getLogger("aiohttp.server").info("less than a warning")
    task, request = _events(out)
    assert SECRET not in out.getvalue()
    assert (task["event"], task["logger"], task["text"]) == ("library", "asyncio", "Task exception was never retrieved")
    assert request["text"] == "Error handling request from %s"
    assert request["trace"].endswith("builtins.ValueError")


def test_a_record_that_cannot_be_formatted_is_not_shown(kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    out = _configured(monkeypatch, io.StringIO(), LogSettings())
    logging.getLogger("kernelwire.x").error("Two words: %d", SECRET)
    assert SECRET not in out.getvalue()
    assert _events(out)[0]["event"] == "log_record_lost"


def test_levels(kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    out = _configured(monkeypatch, io.StringIO(), LogSettings(level="warning"))
    logging.getLogger("kernelwire.x").info("less")
    logging.getLogger("auth.x").warning("more")
    assert [event["event"] for event in _events(out)] == ["more"]


@pytest.mark.parametrize(
    ("stream", "form", "text"),
    [
        (io.StringIO, "auto", False),
        (Terminal, "auto", True),
        (io.StringIO, "text", True),
        (Terminal, "json", False),
    ],
)
def test_the_form(
    kept: None, monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], form: Any, text: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = _configured(monkeypatch, stream(), LogSettings(format=form))
    logging.getLogger("kernelwire.x").info("host_known version=%s", "1.0")
    line = out.getvalue()
    if text:
        assert line.endswith(" info    front host_known version=1.0\n")
        assert "\x1b" not in line
    else:
        assert json.loads(line)["version"] == "1.0"


def test_text_is_faint_where_all_is_well(kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = _configured(monkeypatch, Terminal(), LogSettings())
    logging.getLogger("kernelwire.x").info("fine")
    logging.getLogger("kernelwire.x").error("bad")
    fine, bad = out.getvalue().splitlines()
    assert fine.startswith("\x1b[2m")
    assert bad.startswith("\x1b[31m")


def test_text_cannot_be_forged() -> None:
    event = {"time": "2026-11-22T17:38:04.611Z", "level": "info", "process": "host", "event": "e", "pid": 1}
    event |= {"a": "x\n17:00:00 error", "b": "\x1b[2J", "c": 'say "hi"', "d": "plain=1", "trace": "\nline 1\nline 2\n"}
    lines = log_lines.TextLines(colours=False)(None, "", event).splitlines()
    assert lines[0].endswith(r'host  e a="x\n17:00:00 error" b="\u001b[2J" c="say \"hi\"" d=plain=1')
    assert lines[1:] == ["    line 1", "    line 2"]


def test_json_of_what_is_no_unicode() -> None:
    assert json.loads(log_lines.as_json(None, "", {"event": "\udcff"})) == {"event": "\udcff"}


CRASH = """
import asyncio, sys, threading
from kernelwire import logs
logs.configure(logs.LogSettings(), "host")
class Fails:
    def __del__(self): raise ValueError(sys.argv[1])
async def main():
    asyncio.get_running_loop().call_soon(fail, sys.argv[1])
    asyncio.create_task(lost())
    thread = threading.Thread(target=fail); thread.start(); thread.join()
    Fails()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    import gc; gc.collect()
    fail()
def fail(*_): raise ValueError(sys.argv[1])
async def lost(): fail()
logs.run(main())
"""


def test_what_nobody_catches_is_logged_without_its_text() -> None:
    """Of the main program, a callback, a task, a thread and a finaliser."""
    command = [sys.executable, "-c", CRASH, SECRET]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert sorted(event["event"] for event in events) == [
        "loop_exception",
        "loop_exception",
        "process_failed",
        "thread_failed",
        "unraisable",
    ]
    assert {event["text"] for event in events if "text" in event} == {
        "Exception in callback fail",
        "Task exception was never retrieved",
    }
    assert SECRET not in done.stderr
    assert all(event["trace"].endswith("builtins.ValueError") for event in events)
