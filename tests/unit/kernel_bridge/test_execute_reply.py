"""Replies as odd as kernels make them."""

import pytest

from kernel_bridge import execute_reply
from kernel_bridge.execute_reply import ExecuteReply, read


def test_a_reply_as_it_should_be() -> None:
    content = b'{"status": "ok", "execution_count": 3, "user_expressions": {"a": {}}, "payload": [{"source": "page"}]}'
    assert read(content) == ExecuteReply("ok", 3, {"a": {}}, [{"source": "page"}])


@pytest.mark.parametrize(
    "member",
    [
        b'"payload": null',
        b'"payload": {}',
        b'"payload": [1, null]',
        b'"user_expressions": []',
        b'"execution_count": 1.5',
        b'"execution_count": "1"',
        b'"execution_count": true',
        b'"execution_count": 1' + b"0" * 5000,
    ],
)
def test_an_odd_member_is_left_out_and_the_status_counts(member: bytes) -> None:
    assert read(b'{"status": "ok", ' + member + b"}").status == "ok"
    assert read(b'{"status": "ok", ' + member + b"}").payload == []


def test_text_that_is_no_utf8_is_mended() -> None:
    reply = read(b'{"status": "ok", "payload": [{"source": "set_next_input", "text": "a\xffb"}]}')
    assert (reply.status, reply.payload[0]["text"]) == ("ok", "a\ufffdb")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", "error"),
        (b"[]", "error"),
        (b"nonsense", "error"),
        (b'{"status": 1}', "error"),
        (b"{}", "error"),
        (b'{"status": "abort"}', "aborted"),
        (b'{"status": "aborted"}', "aborted"),
        (b'{"status": "' + b"[" * 50_000, "error"),
        (b'{"status": "ok", "payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "error"),
        (b'{"status": "ok", "payload": [' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"]}", "ok"),
    ],
)
def test_nothing_breaks_the_reader(content: bytes, status: str) -> None:
    assert read(content) == ExecuteReply(status)  # pyright: ignore[reportArgumentType]  one of the three


def test_of_a_huge_reply_the_status_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute_reply, "MAX_BYTES", 100)
    assert read(b'{"payload": [{"a": "' + b"x" * 200 + b'"}], "status": "ok"}') == ExecuteReply("ok")
