"""One call of each method, and what of its answer goes into the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SLOW_S = 30.0
"""bound of an answer that may have to wait for a kernel"""
QUICK_S = 10.0
"""of any other: RpcSettings.call_s; a host that is away is noticed after 3 s of silence"""


@dataclass(frozen=True, slots=True)
class Scene:
    """What was there before the state was entered."""

    user: str
    password: str
    session: str
    spare_token: str
    token_id: str
    subscription: int
    input_id: str = "none"
    wait: float = 20.0
    """how long evaluate may take: 0 where its turn does not come"""


@dataclass(frozen=True, slots=True)
class Call:
    """`params` of a call in a scene; `fact` of its result is shown behind `ok`."""

    params: Callable[[Scene], dict[str, Any]]
    fact: Callable[[Any], str] | None = None
    bound_s: float = QUICK_S


def _in_session(**params: Any) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"session": scene.session, **params}


def _nothing(_: Scene) -> dict[str, Any]:
    return {}


def _end(cell: Any) -> str:
    return cell["state"] if cell["end"] is None else f"{cell['state']}, {cell['end']}"


CALLS: dict[str, Call] = {
    "login": Call(lambda s: {"username": s.user, "password": s.password, "session": s.session}),
    "logout": Call(lambda s: {"token": s.spare_token}),
    "whoami": Call(_nothing),
    "open_session": Call(_in_session()),
    "session_info": Call(_in_session(), lambda info: info["kernel_state"]),
    "list_sessions": Call(_nothing),
    "close_session": Call(_in_session()),
    "share_session": Call(_in_session(user="admin", access="write")),
    "unshare_session": Call(_in_session(user="admin")),
    "refresh": Call(_nothing),
    "logout_all": Call(_nothing),
    "create_token": Call(lambda _: {"scopes": ["read"]}),
    "list_tokens": Call(_nothing),
    "revoke_token": Call(lambda s: {"token_id": s.token_id}),
    "evaluate": Call(lambda s: {"session": s.session, "code": "1+1", "wait": s.wait}, _end, SLOW_S),
    "complete": Call(_in_session(code="prin"), None, SLOW_S),
    "is_complete": Call(_in_session(code="for x in y:"), lambda status: status["status"], SLOW_S),
    "inspect": Call(_in_session(code="print"), None, SLOW_S),
    "poll_output": Call(_in_session(wait=0), lambda page: page["kernel_state"]),
    "subscribe": Call(_in_session()),
    "unsubscribe": Call(lambda s: {"subscription": s.subscription}),
    "interrupt": Call(_in_session(), lambda done: done["step"], SLOW_S),
    "input_reply": Call(lambda s: {"session": s.session, "id": s.input_id, "value": "x"}),
    "restart": Call(_in_session(), None, SLOW_S),
    "kernel_info": Call(_in_session(), None, SLOW_S),
    "list_kernels": Call(_nothing),
    "get_cell": Call(_in_session(cell="first"), _end),
    "list_cells": Call(_in_session()),
    "history": Call(_in_session()),
    "export_notebook": Call(_in_session()),
    "comm_open": Call(_in_session(target_name="no.such.target"), None, SLOW_S),
    "comm_msg": Call(_in_session(comm_id="c"), None, SLOW_S),
    "comm_close": Call(_in_session(comm_id="c"), None, SLOW_S),
    "rpc.discover": Call(_nothing),
}

LAST = ("evaluate", "logout_all")
"""the first changes what later calls meet, the second ends their token"""
NEED_KERNEL = ("complete", "inspect", "is_complete", "kernel_info", "comm_open")
_END_STATE = ("interrupt", "restart", "close_session")

ALONE: dict[str, tuple[str, ...]] = {
    "none": (*NEED_KERNEL, "evaluate", "restart", "close_session"),
    "starting": _END_STATE,
    "idle": ("evaluate", "restart", "close_session"),
    "busy": _END_STATE,
    "waiting": ("input_reply", *_END_STATE),
    "dead": (*NEED_KERNEL, "evaluate", "restart", "close_session"),
    "restarting": ("restart", "close_session"),
    "closed": ("login", "open_session"),
    "away": (),
}
"""Calls that end a state: it is entered anew for each of them. All others are sent in one go."""


def batches(state: str) -> list[list[str]]:
    """The methods in the order in which they are called in a state."""
    together = [name for name in CALLS if name not in ALONE[state] and name not in LAST]
    together += [name for name in LAST if name not in ALONE[state]]
    return [together, *([name] for name in ALONE[state])]
