import time

import pytest

from kernel_bridge.ansi import overwrite, strip


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("\x1b[0;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\!", "link!"),
        ("\x1b]0;title without an end\nnext", "0;title without an end\nnext"),
        ("\x1bPq#0;2\x1b\\after", "after"),
        ("\x1b(Bx\x1b7y\x1b", "xy"),
        ("\x9b1mC1\x9bm \x9d0;t\x9c.", "C1 ."),
        ("cut off \x1b[38;5", "cut off "),
        ("bell\x07 nul\x00", "bell nul"),
        ("kept: \t\b\r\n\x0b\x0c é 😀 \x85", "kept: \t\b\r\n\x0b\x0c é 😀 \x85"),
    ],
)
def test_strip(raw: str, plain: str) -> None:
    assert strip(raw) == plain


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("abc\rX", "Xbc"),
        ("10%\r100%\r\ndone\n", "100%\ndone\n"),
        ("ab\bc", "ac"),
        ("ab\b", "ab"),
        ("\b\b\bx", "x"),
        ("a\rb\nc\rd\n", "b\nd\n"),
        ("nothing\nto do", "nothing\nto do"),
        ("\r\r\n", "\n"),
    ],
)
def test_overwrite(raw: str, shown: str) -> None:
    assert overwrite(raw) == shown


@pytest.mark.parametrize("unit", ["\x1b[", "\x1b]", "\x90", "\x9d", "\x1bP", "\x1b", "\x1b ", "\x1b[0", "\x1b]x"])
def test_strip_takes_linear_time_on_hostile_text(unit: str) -> None:
    begin = time.process_time()
    strip(unit * 300_000)
    assert time.process_time() - begin < 5, "a quadratic pattern would take hours"


@pytest.mark.parametrize("text", ["a" * 300_000 + "\rb" * 150_000, "ab\b" * 150_000, "\b" * 500_000])
def test_overwrite_takes_linear_time_on_hostile_text(text: str) -> None:
    begin = time.process_time()
    overwrite(text)
    assert time.process_time() - begin < 5
