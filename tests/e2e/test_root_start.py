"""A service that root starts, from an installation that every user can run: who its processes are, whose its files are,
and that all else is as with any other service. For root only."""

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.privileges import NEEDED
from kernelwire.service_user import DEFAULT
from tests import certificates
from tests.e2e import lone_host
from tests.e2e.client import Client
from tests.e2e.conftest import SHORT
from tests.e2e.patient import persistent
from tests.e2e.processes import Process
from tests.e2e.service import Service, environment

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a service that becomes another user"),
]

NONE = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0}
OF_HOST = sum(1 << number for number in NEEDED) if getattr(LimitSettings(), "uid_base", None) is not None else 0
END_S = 20.0


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user can enter, removed after the tests."""
    path = Path(tempfile.mkdtemp(prefix="kernelwire-root-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Root:
    """Starts services as root, and runs commands beside them."""

    def __init__(self, program: str, place: Path) -> None:
        self.place = place
        self.state_dir = place / "state"
        self._program = program
        self._started: list[Service] = []

    def serve(self, *arguments: str, **extra: str) -> Service:
        chosen = {**SHORT, **extra}
        home = self.place / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        service = Service.start(self.state_dir, arguments=arguments, extra=chosen, program=self._program, home=home)
        self._started.append(service)
        return service

    def run(
        self, *words: str, stdin: str = "", extra: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """One command on the state directory, to its end."""
        return subprocess.run(
            [self._program, *words, "--state-dir", str(self.state_dir)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment(self.place / "home", extra),
        )

    def close(self) -> None:
        for service in self._started:
            service.abandon()

    def owners(self) -> set[int]:
        """Of all that is in the state directory, itself included; but not the users of sessions."""
        found = {self.state_dir.lstat().st_uid}
        for folder, folders, files in os.walk(self.state_dir):
            found |= {(Path(folder) / name).lstat().st_uid for name in (*folders, *files)}
        return {uid for uid in found if uid <= DEFAULT}


@pytest.fixture
def root(installed: Path, place: Path) -> Iterator[Root]:
    path = Path(tempfile.mkdtemp(prefix="run-", dir=place))
    path.chmod(0o755)
    found = Root(str(installed / "kernelwire"), path)
    yield found
    found.close()


@pytest.fixture
async def trusting() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that believes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    timeout = aiohttp.ClientTimeout(total=100)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=timeout) as session:
        yield session


def _status(process: Process) -> dict[str, str]:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _check_is(process: Process, uid: int, capabilities: int) -> None:
    status = _status(process)
    assert status["Uid"].split() == status["Gid"].split() == [str(uid)] * 4
    assert status["Groups"] == ""
    assert {name: int(status[name], 16) for name in NONE} == dict.fromkeys(NONE, capabilities)
    assert status["NoNewPrivs"] == "1"


def _kill(service: Service, word: str) -> None:
    process = service.one(word)
    service.seen.add(process)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(END_S)


async def test_only_the_supervisor_is_root(root: Root, http: aiohttp.ClientSession) -> None:
    service = await asyncio.to_thread(root.serve)
    assert "Runs as root" not in service.output.wait_for(" on http", 1)
    status = {name: _status(service.one("serve"))[name] for name in ("Uid", "Groups", "CapEff")}
    assert status == {"Uid": f"0\t{DEFAULT}\t0\t{DEFAULT}", "Groups": "", "CapEff": "0" * 16}
    _check_is(service.one("_front"), DEFAULT, 0)
    _check_is(service.one("_host"), DEFAULT, OF_HOST)

    client = await Client(http, service).log_in()
    assert (await client.evaluate("kept = 41; kept + 1")).text == "42"
    shim, kernel = service.kernel_of(client.session)
    assert "0" not in _status(kernel)["Uid"].split()
    assert _status(kernel)["NoNewPrivs"] == "1"
    assert int(_status(kernel)["CapEff"], 16) == 0

    await asyncio.to_thread(_kill, service, "_front")
    assert (await persistent(lambda: client.evaluate("kept"))).text == "41"
    _check_is(service.one("_front"), DEFAULT, 0)
    await asyncio.to_thread(_kill, service, "_host")
    assert (await persistent(lambda: client.evaluate("kept + 2"))).text == "43"
    _check_is(service.one("_host"), DEFAULT, OF_HOST)
    assert service.kernel_of(client.session) == (shim, kernel)

    front, host = service.one("_front"), service.one("_host")
    os.kill(front.pid, signal.SIGSTOP)  # it can see nothing: the system ends it with its supervisor
    service.remember()
    service.kill()
    assert front.wait(END_S)
    again = await asyncio.to_thread(root.serve)
    assert again.one("_host") == host
    assert (await replace(client, service=again).evaluate("kept + 3")).text == "44"
    again.seen |= service.seen
    assert 0 not in root.owners()
    again.stop()
    assert 0 not in root.owners()


async def test_commands_of_root_work_as_the_owner(root: Root, http: aiohttp.ClientSession) -> None:
    service = await asyncio.to_thread(root.serve, "--insecure-shared-uid")
    password = service.password
    for words, stdin in (
        (("user", "add", "alice", "--password-stdin"), "a long pass phrase\n"),
        (("token", "create", "alice"), ""),
        (("key", "rotate"), ""),
        (("key", "list"), ""),
        (("config",), ""),
        (("login", "--password-stdin"), f"{password}\n"),
        (("call", "evaluate", "code=6 * 7"), ""),
        (("doctor",), ""),
        (("logout",), ""),
    ):
        done = await asyncio.to_thread(root.run, *words, stdin=stdin)
        assert done.returncode == 0, done
        assert 0 not in root.owners(), words
    client = await Client(http, service).log_in("alice", "a long pass phrase")
    assert (await client.evaluate("6 * 7")).text == "42"
    audit = (root.state_dir / "audit.jsonl").read_text()
    assert '"event":"user_added"' in audit
    assert '"by":"command","uid":0' in audit, "root did it"
    service.stop()


async def test_the_directory_goes_to_whom_the_service_runs_as(root: Root, http: aiohttp.ClientSession) -> None:
    (root.state_dir).mkdir(mode=0o700)
    service = await asyncio.to_thread(root.serve, KERNELWIRE_SERVE__USER="root")
    assert "Runs as root: serve.user is root" in service.output.wait_for("Runs as root", 10)
    assert '"runs_as_root"' in service.log.read_text()
    client = await Client(http, service).log_in()
    await client.evaluate("open('mine.txt', 'w').write('kept')")
    service.stop()
    assert 0 in root.owners()
    linked = root.place / "elsewhere"
    linked.write_text("another's")
    os.link(linked, next(root.state_dir.glob("workdirs/*")) / "linked")
    next(root.state_dir.glob("workdirs/*")).joinpath("link").symlink_to(linked)

    service = await asyncio.to_thread(root.serve)
    assert root.state_dir.stat().st_uid == DEFAULT
    assert linked.stat().st_uid == 0
    client = await Client(http, service).log_in(session=client.session)
    assert (await client.evaluate("print(open('mine.txt').read(), end='')")).text == "kept"
    service.stop()

    service = await asyncio.to_thread(root.serve, KERNELWIRE_SERVE__USER="65534")
    _check_is(service.one("_front"), 65534, 0)
    assert root.owners().isdisjoint({DEFAULT})
    service.stop()
    done = await asyncio.to_thread(root.run, "serve", "--port", "0")
    assert done.returncode == 1
    assert "belongs to user 65534: name it by serve.user" in done.stderr
    seen = root.run("doctor")
    assert seen.returncode == 1
    assert "root's own service does not start" in seen.stdout
    assert "belongs to user 65534: name it by serve.user" in seen.stdout


async def test_root_takes_it_back(root: Root, http: aiohttp.ClientSession) -> None:
    root.serve().stop()
    assert root.owners() == {DEFAULT}
    service = await asyncio.to_thread(root.serve, KERNELWIRE_SERVE__USER="root")
    client = await Client(http, service).log_in()
    assert (await client.evaluate("6 * 7")).text == "42"
    assert root.owners().isdisjoint({DEFAULT})
    service.stop()


async def test_kernels_of_the_former_user_are_ended(root: Root, http: aiohttp.ClientSession) -> None:
    service = await asyncio.to_thread(root.serve, KERNELWIRE_SERVE__USER="root")
    client = await Client(http, service).log_in()
    await client.evaluate("kept = 41")
    service.remember()
    front, host = service.one("_front"), service.one("_host")
    service.kill()
    assert front.wait(END_S)
    done = await asyncio.to_thread(root.run, "serve", "--port", "0")
    assert done.returncode == 1
    assert "belongs to user 0, and a process of that user still works on it" in done.stderr
    os.kill(host.pid, signal.SIGKILL)
    assert host.wait(END_S)

    again = await asyncio.to_thread(root.serve)
    assert not [process for process in service.seen if process.alive()]
    client = await Client(http, again).log_in(session=client.session)
    assert (await client.evaluate("6 * 7")).text == "42"
    again.stop()


async def test_a_key_that_only_root_can_read(root: Root, trusting: aiohttp.ClientSession) -> None:
    secret = root.place / "tls"
    secret.mkdir(mode=0o700)
    files = certificates.make(secret, "first")
    service = await asyncio.to_thread(root.serve, "--tls-cert", str(files.cert), "--tls-key", str(files.key))
    client = await Client(trusting, service).log_in()
    assert (await client.evaluate("6 * 7")).text == "42"
    assert _presented(service) == files.cert.read_text()
    certificates.make(secret, "second").copy_over(files)
    _hang_up(service, '"certificate_read"')
    second = files.cert.read_text()
    assert _presented(service) == second

    files.cert.write_text("half a file")
    _hang_up(service, '"certificate_kept"')
    assert _presented(service) == second
    await asyncio.to_thread(_kill, service, "_front")
    assert (await persistent(lambda: client.evaluate("6 * 7"))).text == "42"
    assert _presented(service) == second

    key = files.key.read_bytes()
    assert not [path for path in root.state_dir.rglob("*") if path.is_file() and key in path.read_bytes()]
    done = await asyncio.to_thread(root.run, "login", "--password-stdin", stdin=f"{service.password}\n")
    assert done.returncode == 1, "the file is no certificate now"
    certificates.make(secret, "third").copy_over(files)
    _hang_up(service, '"certificate_read"')
    done = await asyncio.to_thread(root.run, "login", "--password-stdin", stdin=f"{service.password}\n")
    assert done.returncode == 0, done
    service.stop()


async def test_kernels_of_a_host_that_does_not_end(root: Root, http: aiohttp.ClientSession) -> None:
    service = await asyncio.to_thread(root.serve)
    client = await Client(http, service).log_in()
    await client.evaluate("6 * 7")
    service.remember()
    front = service.one("_front")
    os.kill(service.one("_host").pid, signal.SIGSTOP)
    service.press_ctrl_c()
    assert front.wait(END_S)
    service.press_ctrl_c()
    assert service.process.wait(END_S) == 0
    assert not [process for process in service.seen if process.alive()]
    assert not [*root.state_dir.glob("kernels/*")]
    (await asyncio.to_thread(root.serve)).stop()  # which takes the killed host's sockets along


def _presented(service: Service) -> str:
    return ssl.get_server_certificate(("127.0.0.1", service.port), timeout=10)


def _hang_up(service: Service, event: str) -> None:
    """SIGHUP to the supervisor, until `event` is once more in the log."""
    before = service.log.read_text().count(event)
    service.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 10
    while service.log.read_text().count(event) <= before:
        assert time.monotonic() < end
        time.sleep(0.02)


async def test_a_host_alone(root: Root, installed: Path, http: aiohttp.ClientSession) -> None:
    with lone_host.running(root.state_dir, root.place / "home", str(installed / "kernelwire")) as host:
        service = await asyncio.to_thread(root.serve)
        (process,) = [one for one in _of(service) if one.pid == host.pid]
        _check_is(process, DEFAULT, OF_HOST)
        client = await Client(http, service).log_in()
        assert (await client.evaluate("6 * 7")).text == "42"
        service.press_ctrl_c()
        assert service.process.wait(END_S) == 0
        again = await asyncio.to_thread(root.serve)
        assert (await replace(client, service=again).evaluate("6 * 7")).text == "42"
        again.press_ctrl_c()
        assert again.process.wait(END_S) == 0
    assert 0 not in root.owners()


def _of(service: Service) -> list[Process]:
    service.remember()
    return [*service.seen]


def test_a_user_who_cannot_work_is_refused_by_name_and_left_out_by_default(root: Root) -> None:
    closed = root.place / "closed"
    closed.mkdir(mode=0o700)
    root.state_dir = closed / "state"
    for user, words in (
        ("1900000000", f"serve.user 1900000000: {closed} is closed to user 1900000000"),
        ("nobody-of-this-name", "serve.user nobody-of-this-name: there is no such user"),
    ):
        done = root.run("serve", "--port", "0", extra={"KERNELWIRE_SERVE__USER": user})
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"kernelwire: {words}\n"
        assert not root.state_dir.exists()
    service = root.serve()
    assert f"Runs as root: {closed} is closed to user {DEFAULT}" in service.output.wait_for("Runs as root", 10)
    assert _status(service.one("_front"))["Uid"].split() == ["0"] * 4
    done = root.run("doctor")
    assert f"the service runs as root: {closed} is closed to user {DEFAULT}" in done.stdout
    service.stop()
