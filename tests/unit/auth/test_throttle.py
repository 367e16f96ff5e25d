import pytest

from auth.errors import LoginThrottled
from auth.throttle import LoginThrottle
from tests.unit.auth.conftest import FakeClock


def fail(throttle: LoginThrottle, name: str, address: str, times: int = 1) -> None:
    for _ in range(times):
        throttle.check(name, address)
        throttle.failed(name, address)


def blocked(throttle: LoginThrottle, name: str, address: str) -> bool:
    try:
        throttle.check(name, address)
    except LoginThrottled:
        return True
    return False


def test_a_name_is_blocked_whatever_its_case_and_wherever_it_comes_from(clock: FakeClock) -> None:
    throttle = LoginThrottle("3/minute", "100/minute", clock)
    fail(throttle, "ada", "192.0.2.1", 2)
    fail(throttle, "ADA", "192.0.2.2")
    with pytest.raises(LoginThrottled) as caught:
        throttle.check("Ada", "192.0.2.3")
    assert caught.value.retry_after_s == 60.0
    assert not blocked(throttle, "bob", "192.0.2.1")


def test_an_address_is_blocked_whoever_it_asks_for(clock: FakeClock) -> None:
    throttle = LoginThrottle("100/minute", "3/minute", clock)
    for name in ("a", "b", "c"):
        fail(throttle, name, "192.0.2.1")
    assert blocked(throttle, "d", "192.0.2.1")
    assert not blocked(throttle, "a", "192.0.2.2")


def test_the_addresses_of_one_ipv6_network_are_one(clock: FakeClock) -> None:
    throttle = LoginThrottle("off", "2/minute", clock)
    fail(throttle, "a", "2001:db8::1")
    fail(throttle, "a", "2001:db8::ffff:1")
    assert blocked(throttle, "a", "2001:db8::2")
    assert not blocked(throttle, "a", "2001:db8:0:1::2")


def test_the_window_ends(clock: FakeClock) -> None:
    throttle = LoginThrottle("2/5 minutes", "off", clock)
    fail(throttle, "ada", "", 2)
    clock.now += 299.5
    with pytest.raises(LoginThrottled) as caught:
        throttle.check("ada", "")
    assert caught.value.retry_after_s == 1.0
    clock.now += 0.5
    fail(throttle, "ada", "", 2)
    assert blocked(throttle, "ada", "")


def test_what_is_no_name_is_one_key(clock: FakeClock) -> None:
    throttle = LoginThrottle("2/minute", "off", clock)
    for number in range(50):
        throttle.failed("\ud800" * number, "")
    assert len(throttle._counts) == 1  # pyright: ignore[reportPrivateUsage]
    assert blocked(throttle, "x y", "")


def test_its_memory_is_bounded(clock: FakeClock) -> None:
    throttle = LoginThrottle("2/minute", "2/minute", clock, keys=100)
    for number in range(5000):
        throttle.failed(f"user{number}", f"192.0.2.{number % 250}")
    assert len(throttle._counts) <= 100  # pyright: ignore[reportPrivateUsage]


def test_off(clock: FakeClock) -> None:
    throttle = LoginThrottle("off", "off", clock)
    fail(throttle, "ada", "192.0.2.1", 1000)
    assert len(throttle._counts) == 0  # pyright: ignore[reportPrivateUsage]
