"""How `kernelwire call` finds the service and the token, and whom it does not trust."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from auth.errors import StateDirInsecure, StateDirUnusable
from kernel_bridge.host_lock import HostLock
from kernelwire import logins, serve_file, service_address
from kernelwire.errors import Failed, WrongUsage
from kernelwire.logins import Login
from kernelwire.serve_file import ServeFile
from kernelwire.service_address import Address

URL = "http://127.0.0.1:8787"
HERE = Address(URL, here=True)
LOGIN = Login("ada", "kw_a-token", "host.session", "2026-11-22T18:00:00.000Z")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def running(state: Path) -> Iterator[Path]:
    """A state directory that somebody serves."""
    lock = HostLock(state / serve_file.LOCK)
    assert lock.acquire()
    yield state
    lock.release()


def test_the_running_service(running: Path) -> None:
    serve_file.write(running, ServeFile(URL, 1, "0.1.0"))
    assert service_address.find(None, running, {}) == HERE
    assert (running / serve_file.NAME).stat().st_mode & 0o777 == 0o600
    # the same one by another way; another one
    assert service_address.find(f"{URL}/", running, {}) == HERE
    assert service_address.find(f"{URL}/rpc", running, {}) == HERE
    assert service_address.find("http://127.0.0.1:1", running, {}) == Address("http://127.0.0.1:1", here=False)
    by_environment = {"KERNELWIRE_URL": "https://example.org/kernels/"}
    assert service_address.find(None, running, by_environment) == Address("https://example.org/kernels", here=False)
    assert service_address.find(URL, running, by_environment) == HERE

    serve_file.remove(running)
    serve_file.remove(running)
    with pytest.raises(Failed, match="only just starting or ending"):
        service_address.find(None, running, {})


def test_a_leftover_of_a_killed_one(state: Path) -> None:
    serve_file.write(state, ServeFile(URL, 1, "0.1.0"))
    assert serve_file.find(state) is None
    with pytest.raises(Failed, match="no service runs"):
        service_address.find(None, state, {})


def test_no_state_directory(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="no service runs"):
        service_address.find(None, tmp_path / "none", {})
    assert service_address.find(URL, tmp_path / "none", {}) == Address(URL, here=False)
    assert logins.find(tmp_path / "none", HERE) is None
    logins.forget(tmp_path / "none", HERE)


def test_a_file_that_others_could_have_written(running: Path) -> None:
    serve_file.write(running, ServeFile("http://evil.example", 1, "0.1.0"))
    (running / serve_file.NAME).chmod(0o644)
    with pytest.raises(StateDirInsecure):
        service_address.find(None, running, {})


def test_a_file_of_something_else(running: Path) -> None:
    (running / serve_file.NAME).touch(mode=0o600)
    assert serve_file.find(running) is None


@pytest.mark.parametrize(
    "url",
    [
        "example.org",
        "ftp://example.org",
        "http://",
        "http://:80",
        "http://x:port",
        "http://x:0",
        "http://[::1",
        "http://ada:a-pass-word@example.org",
        "http://x/?token=a-pass-word",
        "http://x/#a-pass-word",
    ],
)
def test_what_is_no_url(url: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="expected http://HOST:PORT") as raised:
        service_address.find(url, tmp_path, {})
    assert "a-pass-word" not in str(raised.value)


def test_a_login_is_for_its_service_only(state: Path) -> None:
    there = Address("https://example.org", here=False)
    logins.keep(state, HERE, LOGIN)
    assert logins.find(state, HERE) == LOGIN
    assert logins.find(state, Address("http://127.0.0.1:1", here=True)) == LOGIN, "its port may change"
    assert logins.find(state, there) is None
    other = Login("bob", "kw_another", "host.other", "2026-11-22T18:00:00.000Z")
    logins.keep(state, there, other)
    assert (logins.find(state, HERE), logins.find(state, there)) == (LOGIN, other)
    logins.forget(state, there)
    assert (logins.find(state, HERE), logins.find(state, there)) == (LOGIN, None)
    assert LOGIN.token not in repr(LOGIN)


def test_a_login_is_kept_in_private(tmp_path: Path) -> None:
    state = tmp_path / "new"
    logins.keep(state, HERE, LOGIN)
    assert state.stat().st_mode & 0o777 == 0o700
    file = state / logins.NAME
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in state.iterdir()] == [logins.NAME]
    file.chmod(0o640)
    with pytest.raises(StateDirInsecure):
        logins.find(state, HERE)
    file.chmod(0o600)
    file.write_text("{}")
    with pytest.raises(StateDirUnusable, match="log in again"):
        logins.find(state, HERE)
