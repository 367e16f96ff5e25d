"""TLS from start to stop: what is refused, what is presented, and certificates that are renewed while clients stay."""

import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests import certificates
from tests.certificates import Files
from tests.e2e.client import Client
from tests.e2e.conftest import Starter
from tests.e2e.service import Service, kernelwire


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return certificates.make(tmp_path, "first")


@pytest.fixture
async def trusting(files: Files) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that trusts the first certificate, by its name."""
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=files.cert))
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=100)) as session:
        yield session


def _arguments(files: Files) -> list[str]:
    return ["--tls-cert", str(files.cert), "--tls-key", str(files.key)]


def _presented(service: Service) -> str:
    return ssl.get_server_certificate(("127.0.0.1", service.port), timeout=10)


def _hang_up(service: Service, event: str) -> None:
    """SIGHUP to the supervisor, until the front has logged `event` once more."""
    before = service.log.read_text().count(event)
    service.process.send_signal(signal.SIGHUP)
    _until(lambda: service.log.read_text().count(event) > before)


def _until(condition: Callable[[], bool], bound_s: float = 10.0) -> None:
    end = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


async def test_certificates_are_renewed_while_clients_stay(
    start: Starter, files: Files, trusting: aiohttp.ClientSession, tmp_path: Path
) -> None:
    service = start(arguments=_arguments(files))
    assert service.url.startswith("https://127.0.0.1:")
    client = await Client(trusting, service).log_in()
    assert (await client.evaluate("6 * 7")).text == "42"
    first = files.cert.read_text()
    assert _presented(service) == first
    async with trusting.ws_connect(f"{service.url}/ws", headers={"Authorization": f"Bearer {client.token}"}) as socket:
        certificates.make(tmp_path, "second").copy_over(files)
        _hang_up(service, '"certificate_read"')
        second = files.cert.read_text()
        assert _presented(service) == second != first

        files.cert.write_text("half a file")
        _hang_up(service, '"certificate_kept"')
        assert _presented(service) == second

        await socket.send_json({"jsonrpc": "2.0", "method": "whoami", "id": 1})
        assert (await socket.receive_json(timeout=10))["result"]["user"] == "admin"
    service.stop()


def test_who_trusts_it(start: Starter, files: Files) -> None:
    """Commands on the state directory, by the file; others only if somebody vouches for it. Plain HTTP gets nothing."""
    service = start(arguments=_arguments(files))
    state, home = ("--state-dir", str(service.state_dir)), service.state_dir.parent / "home"
    done = kernelwire("login", "admin", "--password-stdin", *state, home=home, stdin=f"{service.password}\n")
    assert done.returncode == 0, done
    done = kernelwire("call", "evaluate", "code=6 * 7", *state, home=home)
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done
    done = kernelwire("call", "rpc.discover", "--url", service.url.replace("127.0.0.1", "localhost"), *state, home=home)
    assert done.returncode == 1
    assert "certificate verify failed" in done.stderr
    done = kernelwire("call", "rpc.discover", "--url", service.url.replace("https:", "http:"), *state, home=home)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    service.stop()


@pytest.mark.parametrize(
    ("mode", "given", "words"),
    [(0o644, "both", "chmod 600"), (0o600, "cert", "both --tls-cert and --tls-key"), (0o600, "wrong", "mismatch")],
)
def test_refused_in_a_sentence(files: Files, tmp_path: Path, mode: int, given: str, words: str) -> None:
    arguments = _arguments(files)[: 2 if given == "cert" else 4]
    if given == "wrong":
        arguments[3] = str(certificates.make(tmp_path, "other").key)
    files.key.chmod(mode)
    state = tmp_path / "state"
    done = kernelwire("serve", "--port", "0", "--state-dir", str(state), *arguments, home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert not state.exists()


def test_a_hung_up_terminal_ends_the_service(start: Starter) -> None:
    service = start(on_terminal=True)
    service.remember()
    service.output.close()
    service.check_stopped()
