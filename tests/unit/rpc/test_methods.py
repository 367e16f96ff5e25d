"""What each method asks of the host, and what it answers."""

from typing import Any

import pytest

from kernel_bridge import errors as bridge_errors
from kernel_bridge import hop, results
from kernel_bridge.errors import KernelspecNotFound
from tests.unit.rpc.fakes import PASSWORD, READ_TOKEN, SESSION, TOKEN, Front

CALLER = hop.Caller("u1", "ann")
FACTS: dict[str, Any] = {"caller": CALLER, "request_id": "req-1"}


@pytest.mark.parametrize(
    ("method", "params", "asked"),
    [
        ("evaluate", {"code": ""}, hop.Evaluate(**FACTS, session=SESSION, code="")),
        (
            "evaluate",
            {
                "code": "x", "session": "s", "wait": 0, "cell": "c-1", "metadata": {"a": [1]}, "silent": True,
                "store_history": False, "allow_stdin": True, "stop_on_error": False, "user_expressions": {"a": "b"},
                "timeout": 5,
            },
            hop.Evaluate(
                **FACTS, session="s", code="x", wait=0.0, cell="c-1", metadata={"a": [1]}, silent=True,
                store_history=False, allow_stdin=True, stop_on_error=False, user_expressions={"a": "b"}, timeout=5.0,
            ),
        ),
        ("complete", ["os.pa", 5], hop.Complete(**FACTS, session=SESSION, code="os.pa", cursor_pos=5)),
        ("inspect", {"code": "len??"}, hop.Inspect(**FACTS, session=SESSION, code="len??")),
        ("inspect", ["len", 3, 1, "s"], hop.Inspect(**FACTS, session="s", code="len", cursor_pos=3, detail_level=1)),
        ("poll_output", None, hop.PollOutput(**FACTS, session=SESSION)),
        (
            "poll_output",
            {"cursor": 3, "cell": "c", "wait": 0, "limit": 2, "max_bytes": 2048},
            hop.PollOutput(**FACTS, session=SESSION, cursor=3, cell="c", wait=0.0, limit=2, max_bytes=2048),
        ),
        ("interrupt", [], hop.Interrupt(**FACTS, session=SESSION)),
        ("interrupt", ["c"], hop.Interrupt(**FACTS, session=SESSION, cell="c")),
        ("input_reply", ["i", "v"], hop.InputReply(**FACTS, session=SESSION, id="i", value="v")),
        ("list_kernels", {}, hop.ListKernels(**FACTS)),
        ("open_session", {"kernel": "k"}, hop.OpenSession(**FACTS, kernel="k")),
        ("open_session", {"session": "s", "start": True}, hop.OpenSession(**FACTS, session="s", start=True)),
        ("list_sessions", {"limit": 5, "after": "a"}, hop.ListSessions(**FACTS, limit=5, after="a")),
        ("close_session", {}, hop.CloseSession(**FACTS, session=SESSION)),
        ("close_session", {"session": "s", "delete": True}, hop.CloseSession(**FACTS, session="s", delete=True)),
        ("get_cell", ["c"], hop.GetCell(**FACTS, session=SESSION, cell="c")),
        ("session_info", [], hop.SessionInfo(**FACTS, session=SESSION)),
        ("restart", ["s"], hop.Restart(**FACTS, session="s")),
        ("is_complete", ["if x:"], hop.IsComplete(**FACTS, session=SESSION, code="if x:")),
        ("kernel_info", None, hop.KernelInfo(**FACTS, session=SESSION)),
        ("list_cells", {}, hop.ListCells(**FACTS, session=SESSION)),
        (
            "list_cells",
            ["s", True, 5, "c", 2048],
            hop.ListCells(**FACTS, session="s", outputs=True, limit=5, after="c", max_bytes=2048),
        ),
        (
            "history",
            {"limit": 5, "after": "c", "results": True},
            hop.History(**FACTS, session=SESSION, limit=5, after="c", results=True),
        ),
        ("export_notebook", ["s", False], hop.ExportNotebook(**FACTS, session="s", outputs=False)),
        ("comm_open", ["target"], hop.CommOpen(**FACTS, session=SESSION, target_name="target")),
        (
            "comm_msg",
            {"comm_id": "m", "data": {"a": 1}, "metadata": {"b": 2}, "buffers": ["AAH/", ""], "session": "s"},
            hop.CommMsg(
                **FACTS, session="s", comm_id="m", data={"a": 1}, metadata={"b": 2}, buffers=[b"\x00\x01\xff", b""]
            ),
        ),
        ("comm_close", ["m"], hop.CommClose(**FACTS, session=SESSION, comm_id="m")),
    ],
)  # fmt: skip
async def test_what_the_host_is_asked(method: str, params: object, asked: object) -> None:
    front = Front.of()
    await front.result(method, params)
    assert front.bridge.asked == [asked]


@pytest.mark.parametrize(
    ("method", "params", "timeout_s"),
    [
        ("evaluate", {"code": "x", "wait": 7}, 17),
        ("poll_output", {"wait": 0}, 10),
        ("complete", {"code": "x"}, 72),
        ("interrupt", {}, 40),
        ("open_session", {}, 10),
        ("open_session", {"start": True}, 70),
        ("get_cell", {"cell": "c"}, 10),
        ("restart", {}, 100),
        ("kernel_info", {}, 70),
        ("is_complete", {"code": ""}, 72),
        ("comm_msg", {"comm_id": "m"}, 72),
        ("export_notebook", {}, 40),
    ],
)
async def test_every_question_is_bounded(method: str, params: object, timeout_s: float) -> None:
    front = Front.of()
    await front.result(method, params)
    assert front.bridge.timeouts_s == [timeout_s]


async def test_login() -> None:
    front = Front.of()
    front.bridge.answers[hop.OpenSession] = results.SessionOpened(SESSION, "python3", "old")
    params = {"username": "ann", "password": PASSWORD, "kernel": "python3", "start": True}
    response = await front.send({"jsonrpc": "2.0", "method": "login", "params": params, "id": 1})
    assert response["result"] == {
        "token": TOKEN,
        "session": SESSION,
        "kernel": "python3",
        "expires_at": "2027-01-15T08:00:00.000Z",
        "scopes": ["evaluate", "read", "manage"],
        "closed_session": "old",
    }
    assert front.bridge.asked == [hop.OpenSession(**FACTS, kernel="python3", start=True)]
    assert front.bridge.timeouts_s == [70]


@pytest.mark.parametrize(("username", "password"), [("ann", "wrong"), ("bob", PASSWORD)])
async def test_a_stranger_learns_nothing(username: str, password: str) -> None:
    front = Front.of()
    front.bridge.answers[hop.OpenSession] = KernelspecNotFound("x", ["python3"])
    error = await front.error("login", {"username": username, "password": password, "kernel": "x"})
    assert error == {"code": -32001, "message": "LoginFailed: wrong user name or password"}
    assert front.bridge.asked == []


async def test_login_when_the_host_refuses_or_the_database_is_away() -> None:
    front = Front.of()
    params = {"username": "ann", "password": PASSWORD}
    front.bridge.answers[hop.OpenSession] = KernelspecNotFound("x", ["python3"])
    error = await front.error("login", params)
    assert (error["code"], error["data"]["available"]) == (-32012, ["python3"])
    front.bridge.answers[hop.OpenSession] = bridge_errors.InvalidArgument("kernel", "the kernel of the session")
    assert (await front.error("login", params))["code"] == -32602
    front.authenticator.database_up = False
    error = await front.error("login", params)
    assert (error["code"], error["data"]) == (-32042, {"retry_after_s": 2.0})


async def test_whoami_and_logout() -> None:
    front = Front.of()
    assert await front.result("whoami") == {
        "user": "ann",
        "user_id": "u1",
        "session": SESSION,
        "scopes": ["evaluate", "read", "manage"],
        "expires_at": "2027-01-15T08:00:00.000Z",
        "api": "1.0",
    }
    assert await front.result("logout") == {"revoked": True}
    request = {"jsonrpc": "2.0", "method": "whoami", "params": {"token": TOKEN}, "id": 1}
    assert (await front.send(request))["error"]["data"] == {"reason": "revoked"}


@pytest.mark.parametrize(
    ("params", "member"),
    [
        ({"comm_id": ""}, "comm_id"),
        ({"comm_id": "m", "buffers": ["not base64!"]}, "buffers"),
        ({"comm_id": "m", "buffers": "AAH/"}, "buffers"),
        ({"comm_id": "m", "data": [1]}, "data"),
        ({"comm_id": "m", "data": {"n": 2**64}}, "data"),
        ({"comm_id": "m", "metadata": {"n": -(2**64)}}, "metadata"),
    ],
)
async def test_comm_messages_that_cannot_be_sent(params: object, member: str) -> None:
    front = Front.of()
    error = await front.error("comm_msg", params)
    assert (error["code"], error["data"]["member"]) == (-32602, member)
    assert front.bridge.asked == []


@pytest.mark.parametrize(
    ("method", "allowed"),
    [
        ("session_info", True), ("list_cells", True), ("history", True), ("export_notebook", True),
        ("restart", False), ("kernel_info", False),
    ],
)  # fmt: skip
async def test_what_a_token_for_reading_may_do(method: str, allowed: bool) -> None:
    response = await Front.of().call(method, None, READ_TOKEN)
    assert response.get("error", {}).get("code") == (None if allowed else -32003)


@pytest.mark.parametrize("method", ["evaluate", "complete", "inspect", "is_complete"])
async def test_too_much_code(method: str) -> None:
    front = Front.of(code_bytes=8)
    error = await front.error(method, {"code": "é" * 5})
    assert (error["code"], error["data"]) == (-32005, {"limit": "code_bytes", "value": 8})
    assert front.bridge.asked == []


@pytest.mark.parametrize(
    ("metadata", "code"), [({"a": "x" * 4096}, -32005), ({"a": 2**64}, -32602), ({"a": [[[[1]]]]}, None)]
)
async def test_metadata(metadata: object, code: int | None) -> None:
    response = await Front.of().call("evaluate", {"code": "", "metadata": metadata})
    assert response.get("error", {}).get("code") == code


@pytest.mark.parametrize("method", ["evaluate", "poll_output"])
async def test_a_refused_long_poll_leaks_no_place(method: str) -> None:
    front = Front.of(long_polls=1)
    params: dict[str, Any] = {"code": "x"} if method == "evaluate" else {}
    with front.services.long_polls.hold("u1", 1):
        error = await front.error(method, params)
        assert (error["code"], error["data"]) == (-32005, {"limit": "long_polls", "value": 1})
        assert front.bridge.asked == []
        await front.result(method, {**params, "wait": 0})
    for answer in (bridge_errors.HostUnavailable(), results.Page([], 0, 0, "none", None)):
        front.bridge.answers[hop.PollOutput] = front.bridge.answers[hop.Evaluate] = answer
        await front.call(method, params)
        assert front.services.long_polls.waiting == 0
