import os
import signal

import pytest

from bench.interrupts import Interrupts
from bench.protocol import BenchFailed


@pytest.fixture
def interrupts() -> Interrupts:
    return Interrupts()


def _ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_ends_what_allows_it(interrupts: Interrupts) -> None:
    with interrupts.taken(), pytest.raises(KeyboardInterrupt), interrupts.allowed(10):  # noqa: PT012
        _ctrl_c()
        pytest.fail("not interrupted")


def test_elsewhere_it_is_remembered(interrupts: Interrupts) -> None:
    with interrupts.taken():
        _ctrl_c()
        with pytest.raises(KeyboardInterrupt), interrupts.allowed(10):
            pytest.fail("not interrupted")


def test_a_held_block_is_finished_first(interrupts: Interrupts) -> None:
    done = False
    with interrupts.taken(), pytest.raises(KeyboardInterrupt), interrupts.allowed(10):  # noqa: PT012
        with interrupts.held():
            _ctrl_c()
            done = True
        pytest.fail("not interrupted")
    assert done


def test_a_second_signal_does_not_disturb_the_cleaning_up(interrupts: Interrupts) -> None:
    cleaned = False
    with interrupts.taken(), pytest.raises(KeyboardInterrupt), interrupts.allowed(10):  # noqa: PT012
        try:
            _ctrl_c()
        finally:
            _ctrl_c()
            with interrupts.held():
                _ctrl_c()
            cleaned = True
    assert cleaned


def test_the_time_of_a_block_ends_it_and_only_it(interrupts: Interrupts) -> None:
    reader, writer = os.pipe()
    try:
        with interrupts.taken():
            with pytest.raises(BenchFailed, match="too long"), interrupts.allowed(0.01):
                os.read(reader, 1)
            with interrupts.allowed(10):
                pass
            interrupts.check()
    finally:
        os.close(reader)
        os.close(writer)


def test_handlers_come_back(interrupts: Interrupts) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    with interrupts.taken():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before
