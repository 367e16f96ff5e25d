"""Fixtures: one service for all plain tests, and a client with a session of its own for each of them."""

import contextlib
import json
import os
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import pytest

from kernel_bridge import cgroup_places, runtime_dir
from kernel_bridge.cgroup_places import NoCgroups
from tests.e2e.client import Client, Login
from tests.e2e.service import Service, running

SHORT = {
    "KERNELWIRE_BRIDGE__INTERRUPT_AGAIN_S": "1",
    "KERNELWIRE_BRIDGE__INTERRUPT_KILL_S": "1",
    "KERNELWIRE_RPC__DRAIN_S": "0.5",
    # All tests come from one address, and some of them fail to log in on purpose
    "KERNELWIRE_AUTH__LOGIN_FAILURES_PER_USER": "100000/minute",
    "KERNELWIRE_AUTH__LOGIN_FAILURES_PER_ADDRESS": "100000/minute",
}


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """No directory of sockets and no cgroup is left, by these tests and by those that follow. On CI's machine alone: on
    others there may be services that have nothing to do with the tests."""
    before = _of_hosts()
    yield
    left = _of_hosts() - before
    if os.environ.get("CI") == "true":
        assert not left


def _of_hosts() -> set[Path]:
    found = {path for place in (runtime_dir.SYSTEM, runtime_dir.LAST_RESORT) for path in place.glob("kw-*")}
    with contextlib.suppress(NoCgroups):
        for place in cgroup_places.find("auto").parents.values():
            found.update(place.glob("kernelwire-*"))
    return found


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service") / "state", extra=SHORT) as service:
        yield service


@dataclass(slots=True)
class Starter:
    """Starts services that a test has for itself."""

    place: Path
    started: list[Service] = field(default_factory=list[Service])

    def __call__(
        self,
        state_dir: Path | None = None,
        *,
        arguments: Sequence[str] = (),
        extra: Mapping[str, str] | None = None,
        on_terminal: bool = False,
    ) -> Service:
        """On `<tmp_path>/state` unless told otherwise."""
        chosen = {**SHORT, **(extra or {})}
        directory = state_dir or self.place / "state"
        home = self.place / "home"
        service = Service.start(directory, arguments=arguments, extra=chosen, on_terminal=on_terminal, home=home)
        self.started.append(service)
        return service


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Those that the test does not stop itself are ended after it, without being checked."""
    starter = Starter(tmp_path)
    yield starter
    for service in starter.started:
        service.abandon()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=100)) as session:
        yield session


@pytest.fixture
def anybody(http: aiohttp.ClientSession, service: Service) -> Client:
    """Somebody without a token."""
    return Client(http, service)


@pytest.fixture(scope="session")
def shared_login(service: Service) -> Login:
    """A session that many tests share, where starting a kernel for each would cost more than the test."""
    params = {"username": "admin", "password": service.password}
    call = {"jsonrpc": "2.0", "id": 1, "method": "login", "params": params}
    request = urllib.request.Request(
        f"{service.url}/rpc", json.dumps(call).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return msgspec.convert(json.load(answer)["result"], Login)


@pytest.fixture
def shared(http: aiohttp.ClientSession, service: Service, shared_login: Login) -> Client:
    """`admin` with a session that is not its own."""
    return Client(http, service, shared_login.token, shared_login.session)


@pytest.fixture
async def client(anybody: Client) -> AsyncIterator[Client]:
    """`admin` with a new session, which is deleted after the test."""
    client = await anybody.log_in()
    yield client
    await (await anybody.log_in(session=client.session)).call("close_session", delete=True)
