import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from auth import passwords
from auth.errors import TooManyLogins
from auth.password_checker import PasswordChecker


class Gate:
    """Stands in for the hash: each call waits until the test opens the gate."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self.running = 0
        self.most = 0
        self.calls = 0
        self._lock = threading.Lock()

    def verify(self, stored: str | None, password: str) -> bool:
        with self._lock:
            self.running += 1
            self.calls += 1
            self.most = max(self.most, self.running)
        self.entered.release()
        assert self.opened.wait(10)
        with self._lock:
            self.running -= 1
        return stored == password


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(passwords, "verify", gate.verify)
    return gate


@pytest.fixture
async def checker(gate: Gate) -> AsyncIterator[PasswordChecker]:
    checker = PasswordChecker(at_once=2, waiting=3)
    yield checker
    gate.opened.set()
    await checker.close()


async def entered(gate: Gate, count: int) -> None:
    for _ in range(count):
        assert await asyncio.to_thread(gate.entered.acquire, timeout=10)


async def test_it_checks(gate: Gate, checker: PasswordChecker) -> None:
    gate.opened.set()
    assert await checker.verify("a", "a") is True
    assert await checker.verify("a", "b") is False


async def test_two_at_once_and_a_bounded_queue(gate: Gate, checker: PasswordChecker) -> None:
    waiting = [asyncio.create_task(checker.verify("a", "a")) for _ in range(5)]
    await entered(gate, 2)
    with pytest.raises(TooManyLogins) as caught:
        await checker.verify("a", "a")
    assert caught.value.retry_after_s > 0
    gate.opened.set()
    assert await asyncio.gather(*waiting) == [True] * 5
    assert gate.most == 2
    assert await checker.verify("a", "a")  # there is room again


async def test_callers_that_go_away_do_not_make_room_before_their_hash_ends(
    gate: Gate, checker: PasswordChecker
) -> None:
    running = [asyncio.create_task(checker.verify("a", "a")) for _ in range(2)]
    await entered(gate, 2)
    queued = [asyncio.create_task(checker.verify("a", "a")) for _ in range(3)]
    await asyncio.sleep(0)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    with pytest.raises(TooManyLogins):
        await checker.verify("a", "a")
    for task in queued:  # these have not begun: nothing is left of them
        task.cancel()
    await asyncio.gather(*queued, return_exceptions=True)
    late = asyncio.create_task(checker.verify("a", "a"))
    gate.opened.set()
    assert await late
    assert gate.calls == 3


async def test_close_cancels_what_waits(gate: Gate, checker: PasswordChecker) -> None:
    tasks = [asyncio.create_task(checker.verify("a", "a")) for _ in range(4)]
    await entered(gate, 2)
    closing = asyncio.create_task(checker.close())
    await asyncio.wait(tasks[2:], timeout=10)
    gate.opened.set()
    await closing
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert ended[:2] == [True, True]
    assert all(isinstance(one, asyncio.CancelledError) for one in ended[2:])


async def test_rehash_and_the_real_thing() -> None:
    checker = PasswordChecker()
    stored = await checker.rehash("short")
    assert await checker.verify(stored, "short")
    assert not await checker.verify(None, "short")
    await checker.close()
    await checker.close()
