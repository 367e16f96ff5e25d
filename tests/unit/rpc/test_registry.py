from types import ModuleType
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from auth.authenticator import ALL_SCOPES
from rpc.context import Context
from rpc.messages import Nothing
from rpc.methods import REGISTRY
from rpc.registry import Registry, method


@method("ping", params=Nothing, result=str, scope=None, token=False)
async def ping(context: Context, params: Nothing) -> str:
    """Answer with
    pong.

    Not shown.
    """
    return "pong"


def test_an_entry_knows_its_method() -> None:
    assert (ping.name, ping.params, ping.result, ping.scope, ping.doc) == (
        "ping",
        Nothing,
        str,
        None,
        "Answer with pong.",
    )


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two methods are called ping"):
        Registry(ping, ping)


def test_no_method_has_a_param_called_token() -> None:
    class Params(Struct):
        token: Annotated[str, Meta(description="a string")]

    async def handler(context: Context, params: Params) -> None: ...

    with pytest.raises(TypeError, match="token"):
        method("m", params=Params, result=None, scope="read")(handler)


def test_a_scope_has_to_be_said() -> None:
    unscoped: Any = method
    with pytest.raises(TypeError, match="scope"):
        unscoped("m", params=Nothing, result=None)


@pytest.mark.parametrize(("scope", "token"), [("root", True), ("", True), ("read", False)])
def test_a_scope_must_be_one_that_a_token_can_have(scope: str, token: bool) -> None:
    with pytest.raises(ValueError, match="expected a scope of evaluate, read, manage, admin"):
        method("m", params=Nothing, result=None, scope=scope, token=token)


def test_a_module_gives_its_methods() -> None:
    module: Any = ModuleType("m")
    module.first, module.other = ping, 1
    assert list(Registry.of_modules(module)) == ["ping"]


def test_the_table_is_immutable() -> None:
    with pytest.raises(TypeError):
        Registry(ping)["x"] = ping  # pyright: ignore[reportIndexIssue]


def test_the_methods_of_the_contract() -> None:
    assert set(REGISTRY) == {
        "login", "logout", "whoami", "refresh", "logout_all", "create_token", "list_tokens", "revoke_token",
        "open_session", "list_sessions", "close_session", "evaluate", "complete",
        "inspect", "poll_output", "subscribe", "unsubscribe", "interrupt", "input_reply", "list_kernels", "get_cell",
        "session_info", "restart", "is_complete", "kernel_info", "history", "list_cells", "export_notebook",
        "comm_open", "comm_msg", "comm_close", "share_session", "unshare_session", "rpc.discover",
    }  # fmt: skip
    assert [name for name, entry in REGISTRY.items() if not entry.token] == ["login", "rpc.discover"]
    assert {entry.scope for entry in REGISTRY.values()} <= {None, *ALL_SCOPES}
    assert all(entry.doc for entry in REGISTRY.values())


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("login", "username password kernel session start"),
        (
            "evaluate",
            "code session wait cell metadata silent store_history allow_stdin stop_on_error user_expressions timeout",
        ),
        ("complete", "code cursor_pos session"),
        ("inspect", "code cursor_pos detail_level session"),
        ("poll_output", "cursor session cell wait limit max_bytes"),
        ("is_complete", "code session"),
        ("kernel_info", "session"),
        ("session_info", "session"),
        ("restart", "session"),
        ("share_session", "user access session"),
        ("unshare_session", "user session"),
        ("history", "session limit after results max_bytes"),
        ("list_cells", "session outputs limit after max_bytes"),
        ("export_notebook", "session outputs"),
        ("comm_open", "target_name data comm_id metadata buffers session"),
        ("comm_msg", "comm_id data metadata buffers session"),
        ("comm_close", "comm_id data metadata buffers session"),
    ],
)
def test_positional_order_is_that_of_the_contract(name: str, members: str) -> None:
    assert " ".join(member.name for member in REGISTRY[name].reader.members) == members
