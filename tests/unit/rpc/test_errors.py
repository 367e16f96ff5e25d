"""The one table of codes, against the contract's."""

from typing import Any

import pytest

from auth import errors as auth_errors
from kernel_bridge import errors as bridge_errors
from kernel_bridge.results import Exit
from rpc import errors

# The contract's table: code, name, members of `data`, an exception that leads there.
CONTRACT: list[tuple[int, str, set[str], Exception]] = [
    (-32700, "Parse error", set(), errors.ParseError("why")),
    (-32600, "Invalid Request", set(), errors.InvalidRequest("why")),
    (-32601, "Method not found", set(), errors.MethodNotFound("`x`")),
    (-32602, "Invalid params", {"member", "expected"}, errors.InvalidParams("wait", "a number", "a string")),
    (-32602, "Invalid params", {"member", "expected"}, bridge_errors.InvalidArgument("cursor_pos", "less")),
    (-32602, "Invalid params", {"newest"}, bridge_errors.InvalidArgument("cursor", "less", newest=3)),
    (-32001, "LoginFailed", set(), auth_errors.LoginFailed()),
    (-32002, "InvalidToken", {"reason"}, auth_errors.InvalidToken("expired")),
    (-32003, "Forbidden", {"scope"}, auth_errors.Forbidden("evaluate")),
    (-32003, "Forbidden", {"access"}, bridge_errors.AccessDenied("write")),
    (-32004, "RateLimited", {"retry_after_s"}, auth_errors.LoginThrottled(2.0)),
    (-32004, "RateLimited", {"retry_after_s"}, auth_errors.TooManyLogins(1.0)),
    (-32005, "LimitExceeded", {"limit", "value"}, bridge_errors.LimitExceeded("disk", None)),
    (-32602, "Invalid params", {"member", "expected"}, auth_errors.BadTokenRequest("name", "letters")),
    (-32005, "LimitExceeded", {"limit", "value"}, auth_errors.TooManyTokens(100)),
    (-32010, "SessionNotFound", {"closed"}, bridge_errors.SessionNotFound("s", closed=True)),
    (-32011, "CellNotFound", set(), bridge_errors.CellNotFound("c")),
    (-32012, "KernelspecNotFound", {"available"}, bridge_errors.KernelspecNotFound("k", ["python3"])),
    (-32013, "CellConflict", set(), bridge_errors.CellConflict("c")),
    (-32020, "KernelStartFailed", {"exit", "stderr"}, bridge_errors.KernelStartFailed(Exit(code=1), "no such file")),
    (-32021, "KernelDied", {"exit"}, bridge_errors.KernelDied(Exit(signal=9))),
    (-32022, "KernelBusy", {"deadline_s"}, bridge_errors.KernelBusy(2.0)),
    (-32023, "NotWaitingForInput", set(), bridge_errors.NotWaitingForInput()),
    (-32040, "ShuttingDown", set(), bridge_errors.ShuttingDown()),
    (-32041, "HostUnavailable", {"retry_after_s"}, bridge_errors.HostUnavailable(1.0)),
    (-32042, "DatabaseUnavailable", {"retry_after_s"}, auth_errors.DatabaseUnavailable(1.0)),
]

# What only the command line and the start of the service raise.
ADMINISTRATIVE = {
    auth_errors.UserExists,
    auth_errors.UserNotFound,
    auth_errors.BadUserName,
    auth_errors.BadPassword,
    auth_errors.StateDirInsecure,
    auth_errors.StateDirUnusable,
    auth_errors.SchemaTooNew,
    auth_errors.BadDatabaseUrl,
}


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    below = kind.__subclasses__()
    return {kind} if not below else {leaf for child in below for leaf in leaves(child)}


@pytest.mark.parametrize(("code", "name", "members", "error"), CONTRACT, ids=lambda value: type(value).__name__)
def test_the_contract(code: int, name: str, members: set[str], error: Exception) -> None:
    shown = errors.show(error, "req-1")
    assert (shown.code, shown.message) == (code, f"{name}: {error}")
    assert members <= set(shown.data or {})
    assert errors.is_known(error)


def test_every_error_of_a_call_is_in_the_table() -> None:
    of_calls = leaves(bridge_errors.BridgeError) | leaves(auth_errors.AuthError) | leaves(errors.RpcError)
    of_calls -= ADMINISTRATIVE | leaves(bridge_errors.WireError)
    assert of_calls == set(errors.TABLE) == {type(row[3]) for row in CONTRACT}


@pytest.mark.parametrize("error", [ValueError("secret text"), bridge_errors.BadFrames("secret"), KeyError("x")])
def test_a_defect_shows_a_request_id_and_nothing_else(error: Exception) -> None:
    shown = errors.show(error, "req-1")
    assert shown.as_member() == {"code": -32603, "message": "Internal error", "data": {"request_id": "req-1"}}
    assert not errors.is_known(error)


def test_facts_are_plain_values() -> None:
    shown = errors.show(bridge_errors.KernelDied(Exit(signal=9)), "")
    assert shown.data == {"exit": {"code": None, "signal": 9, "oom": None, "limit": None}}


def test_only_a_cursor_beyond_the_log_has_a_newest() -> None:
    plain: Any = errors.show(bridge_errors.InvalidArgument("cursor_pos", "less"), "").data
    assert "newest" not in plain
    assert errors.show(bridge_errors.InvalidArgument("cursor", "less", newest=0), "").data == {
        "member": "cursor",
        "expected": "less",
        "newest": 0,
    }


def test_the_disk_limit_has_a_null_value() -> None:
    assert errors.show(bridge_errors.LimitExceeded("disk", None), "").data == {"limit": "disk", "value": None}


def test_no_data_is_left_out() -> None:
    assert "data" not in errors.show(auth_errors.LoginFailed(), "").as_member()
