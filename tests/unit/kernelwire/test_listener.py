"""The listening socket: loopback only, and what is said when it cannot be had."""

import socket

import pytest

from kernelwire.errors import CannotServe
from kernelwire.listener import bind, url_of


@pytest.mark.parametrize("address", ["::", "93.184.216.34", "192.168.0.1", "::ffff:10.0.0.1"])
def test_bind_refuses_other_addresses_than_loopback(address: str) -> None:
    with pytest.raises(CannotServe, match="only loopback"):
        bind(address, 0)


@pytest.mark.parametrize("address", ["", "example.org", "127.0.0.1:80", "http://127.0.0.1", "127.1"])
def test_bind_refuses_what_is_no_address(address: str) -> None:
    with pytest.raises(CannotServe, match="expected an IP address"):
        bind(address, 0)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_bind(address: str) -> None:
    with bind(address, 0) as listener:
        assert not listener.get_inheritable()
        socket.create_connection(listener.getsockname(), timeout=5).close()


def test_bind_to_a_port_in_use() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(CannotServe, match=r"^port .*: Address already in use; .*--port"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_the_url_has_the_real_port() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_the_url_of_ipv6() -> None:
    with bind("::1", 0) as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_shielded_by_tls_or_a_proxy_any_address_will_do() -> None:
    with bind("0.0.0.0", 0, shielded=True) as listener:  # noqa: S104  nothing accepts on it
        port = listener.getsockname()[1]
        assert url_of(listener, "https") == f"https://127.0.0.1:{port}"
