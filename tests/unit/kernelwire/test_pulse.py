"""Silence is questions without an answer: not time, and not what could not be asked."""

import asyncio
from collections.abc import Iterator

import pytest

from kernelwire.pulse import TRIES, until_heard, until_silent

SHORT_S = 0.005


class FakePulse:
    """Answers as `answers` says, one a question, and from then on not at all."""

    def __init__(self, answers: str) -> None:
        """`+` answered, `-` not, `x` could not be asked."""
        self._answers: Iterator[str] = iter(answers)
        self._last = "-"
        self.asked = 0

    def ask(self) -> bool:
        self._last = next(self._answers, "-")
        self.asked += 1
        return self._last != "x"

    def heard(self) -> bool:
        heard, self._last = self._last == "+", "-"
        return heard

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ("", TRIES),
        ("+", 1 + TRIES),
        ("----+", 5 + TRIES),
        ("--+--+--+", 9 + TRIES),
        ("xxxxxxxxxx", 10 + TRIES),
        ("--xx--", 4 + 3),
    ],
)
async def test_so_many_questions_in_a_row_are_silence(answers: str, asked: int) -> None:
    pulse = FakePulse(answers)
    async with asyncio.timeout(10):
        await until_silent(pulse, SHORT_S)
    assert pulse.asked == asked


async def test_time_alone_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause lasts a minute, as after a suspended machine, and one answer comes with each."""
    pauses: list[float] = []

    async def sleep(delay_s: float) -> None:
        pauses.append(delay_s)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pulse = FakePulse("+" * 50)
    await until_silent(pulse, 30.0)
    assert pulse.asked == 50 + 30
    assert set(pauses) == {1.0}


async def test_heard_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(delay_s: float) -> None:
        """At once."""

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pulse = FakePulse("--x+")
    await until_heard(pulse)
    assert pulse.asked == 4
