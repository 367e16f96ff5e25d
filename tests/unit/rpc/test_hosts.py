"""Which Host headers are served: names that cannot be rebound, and those of the setting."""

import pytest

from rpc.hosts import Hosts
from rpc.http_errors import Refusal

HOSTS = Hosts(["notes.example.org", "2001:db8::9"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "127.0.0.1:8787",
        "127.255.0.3",
        "[::1]",
        "[::1]:65535",
        "192.0.2.7:8787",
        "Notes.Example.org",
        "notes.example.org.:443",
        "[2001:db8::9]",
    ],
)
def test_served(host: str) -> None:
    HOSTS.check(host, "192.0.2.7")


def test_an_address_in_ipv6_is_the_same_address() -> None:
    HOSTS.check("192.0.2.7", "::ffff:192.0.2.7")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8787", 421),
        ("notes.example.org.evil.example", 421),
        ("evilnotes.example.org", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.1", 421),
        ("2130706433", 421),
        ("192.0.2.8", 421),
        ("0.0.0.0", 421),  # noqa: S104  it is what a browser on Linux takes for loopback
        ("", 400),
        ("a b", 400),
        ("localhost:x", 400),
        ("localhost:123456", 400),
        ("localhost\n", 400),
        ("evil.example@localhost", 400),
        ("localhost,evil.example", 400),
        ("localhost/x", 400),
    ],
)
def test_refused(host: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        HOSTS.check(host, "192.0.2.7")
    assert caught.value.status == status
    assert host == "" or host not in str(caught.value)


def test_the_words_say_how_to_allow_a_name() -> None:
    with pytest.raises(Refusal, match=r"rpc\.allowed_hosts.*KERNELWIRE_RPC__ALLOWED_HOSTS"):
        HOSTS.check("evil.example", "192.0.2.7")
