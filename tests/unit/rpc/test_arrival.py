"""How a request arrived: what a proxy says is believed only where there is one, and then only its last word."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from rpc import arrival
from rpc.arrival import Arrival
from rpc.http_errors import Refusal

FORWARDED = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "notes.example.org"}


def read(*headers: tuple[str, str], behind_proxy: bool) -> Arrival:
    return arrival.read(make_mocked_request("GET", "/", CIMultiDict(headers)), behind_proxy=behind_proxy)


def test_without_a_proxy_nobody_can_say_where_he_comes_from() -> None:
    plain = read(("Host", "localhost:1"), behind_proxy=False)
    assert read(("Host", "localhost:1"), *FORWARDED.items(), behind_proxy=False) == plain
    assert (plain.scheme, plain.host) == ("http", "localhost:1")


def test_behind_a_proxy() -> None:
    assert read(("Host", "x"), *FORWARDED.items(), behind_proxy=True) == Arrival(
        "https", "notes.example.org", "192.0.2.1"
    )


def test_only_the_last_entry_is_the_proxys() -> None:
    lied = [(name, value) for name in FORWARDED for value in ("ftp, 10.0.0.1", f"evil.example,{FORWARDED[name]}")]
    assert read(("Host", "x"), *lied, behind_proxy=True) == Arrival("https", "notes.example.org", "192.0.2.1")


@pytest.mark.parametrize("headers", [[], [("Host", "a"), ("Host", "b")], [("Host", "a"), ("X-Forwarded-Proto", "ws")]])
def test_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(Refusal) as caught:
        read(*headers, behind_proxy=True)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", ""),
        ("", ""),
        ("192.0.2.1\n", ""),
        ("127.1", ""),
    ],
)
def test_plain_addresses(text: str, address: str) -> None:
    assert arrival.plain_address(text) == address


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("http", "LocalHost:8787", "http://localhost:8787"),
        ("http", "a.example:80", "http://a.example"),
        ("https", "a.example:443", "https://a.example"),
        ("https", "a.example:80", "https://a.example:80"),
    ],
)
def test_the_origin_of_the_services_own_pages(scheme: str, host: str, origin: str) -> None:
    assert Arrival(scheme, host, "").origin == origin
