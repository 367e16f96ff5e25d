"""What every method must answer in every state, and why, where that is an error: the wire contract as data."""

from dataclasses import dataclass

STATES: dict[str, str] = {
    "none": "no kernel: it was never needed, or the session was closed and opened again",
    "starting": "the kernel starts, and a cell waits for it",
    "idle": "the kernel waits for work",
    "busy": "a cell runs",
    "waiting": "a cell waits for input",
    "dead": "the kernel has died",
    "restarting": "a restart is under way",
    "closed": "the session is closed",
    "away": "the host does not answer: it stands still, or is being replaced",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """`ok` with a fact of the result, or the name of an error and the rule that it follows from."""

    text: str
    why: str = ""


_CLOSED = Answer(
    "SessionNotFound", "a closed session has no kernel and takes no cells; `login(session)` opens it again"
)
_AWAY = Answer("HostUnavailable", "only the host knows sessions and kernels; call again after `retry_after_s`")
_NOT_ASKED = Answer("NotWaitingForInput", "no cell waits for this input")
_NO_COMM = Answer("Invalid params", "comms end with their kernel, and there is none: no message could mean anything")


def _row(usual: str | Answer = "ok", **other: str | Answer) -> dict[str, Answer]:
    """`usual` in all states but `other`; while the host is away it does not answer unless `away` says otherwise."""
    given: dict[str, str | Answer] = {"away": _AWAY, **other}
    answers = {state: given.get(state, usual) for state in STATES}
    return {state: answer if isinstance(answer, Answer) else Answer(answer) for state, answer in answers.items()}


def _front() -> dict[str, Answer]:
    """A method that the front answers by itself."""
    return _row(away="ok")


EXPECTED: dict[str, dict[str, Answer]] = {
    "login": _row(),
    "logout": _front(),
    "whoami": _front(),
    "open_session": _row(),
    "session_info": _row(
        none="ok: none",
        starting="ok: starting",
        idle="ok: idle",
        busy="ok: busy",
        waiting="ok: busy",
        dead="ok: dead",
        restarting="ok: starting",
        closed="ok: none",
    ),
    "list_sessions": _row(),
    "close_session": _row(),
    "share_session": _row(),
    "unshare_session": _row(),
    "refresh": _front(),
    "logout_all": _front(),
    "create_token": _front(),
    "list_tokens": _front(),
    "revoke_token": _front(),
    "evaluate": _row("ok: done, ok", busy="ok: queued", waiting="ok: queued", closed=_CLOSED),
    "complete": _row(closed=_CLOSED),
    "is_complete": _row("ok: incomplete", closed=_CLOSED),
    "inspect": _row(closed=_CLOSED),
    "poll_output": _row(
        none="ok: none",
        starting="ok: starting",
        idle="ok: idle",
        busy="ok: busy",
        waiting="ok: busy",
        dead="ok: dead",
        restarting="ok: starting",
        closed="ok: none",
    ),
    "subscribe": _row(),
    "unsubscribe": _front(),
    "interrupt": _row("ok: not_running", starting="ok: cancelled", busy="ok: interrupt", waiting="ok: interrupt"),
    "input_reply": _row(_NOT_ASKED, waiting="ok"),
    "restart": _row(closed=_CLOSED),
    "kernel_info": _row(closed=_CLOSED),
    "list_kernels": _row(),
    "get_cell": _row("ok: done, ok"),
    "list_cells": _row(),
    "history": _row(),
    "export_notebook": _row(),
    "comm_open": _row(closed=_CLOSED),
    "comm_msg": _row(none=_NO_COMM, dead=_NO_COMM, closed=_CLOSED),
    "comm_close": _row(none=_NO_COMM, dead=_NO_COMM, closed=_CLOSED),
    "rpc.discover": _front(),
}
