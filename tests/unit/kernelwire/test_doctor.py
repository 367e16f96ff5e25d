"""What the doctor finds, and what it says to mend it. Nothing that it looks at is changed."""

import contextlib
import http.server
import json
import os
import resource
import shutil
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from auth.bootstrap import bootstrap
from kernel_bridge.host_lock import HostLock
from kernel_bridge.kernelspecs import Kernelspecs
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.sandbox.settings import SandboxSettings
from kernelwire import __version__, cli, serve_file, settings
from kernelwire.doctor import installation, kernels, limits, running, state
from kernelwire.doctor.finding import Finding
from kernelwire.serve_file import ServeFile
from kernelwire.settings import Resolved


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def _resolved(place: Path, **environment: str) -> Resolved:
    found = {"KERNELWIRE_STATE_DIR": str(place), "XDG_CONFIG_HOME": "/nowhere", **environment}
    return settings.resolve({}, None, found)


def _about(findings: list[Finding], about: str) -> Finding:
    (found,) = [finding for finding in findings if finding.about == about]
    assert (found.status == "ok") == (not found.mend)
    return found


def _of_state(place: Path, about: str, **environment: str) -> Finding:
    return _about(list(state.check(_resolved(place, **environment))), about)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A state directory after a first start."""
    path = tmp_path / "state"
    bootstrap(path)
    return path


@pytest.fixture
def specs(tmp_path: Path) -> Kernelspecs:
    return Kernelspecs([tmp_path / "kernels"])


def _install(tmp_path: Path, name: str, *argv: str, **members: Any) -> None:
    (tmp_path / "kernels" / name).mkdir(parents=True)
    members = {"argv": [*argv, "-f", "{connection_file}"], "display_name": name, "language": "python", **members}
    (tmp_path / "kernels" / name / "kernel.json").write_text(json.dumps(members))


def _script(tmp_path: Path, says: str) -> str:
    """A program that passes for a Python."""
    path = tmp_path / "python3"
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o700)
    return str(path)


def test_this_installation_is_fine() -> None:
    findings = list(installation.check())
    assert {finding.status for finding in findings} == {"ok"}
    assert "aiohttp " in _about(findings, "packages").text


def test_packages_that_are_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["no-such-package>=3", "pytest>=999", "absent; extra == 'other'", "absent; python_version < '3'"]
    monkeypatch.setattr("importlib.metadata.requires", _always(wanted))
    problems = [finding for finding in installation.check() if finding.status == "problem"]
    assert [finding.text.split()[0] for finding in problems] == ["no-such-package", "pytest"]
    assert "-m pip install 'pytest>=999'" in problems[1].mend


async def test_no_kernels(specs: Kernelspecs) -> None:
    (found,) = await kernels.check(specs)
    assert found.status == "problem"


async def test_a_disk_that_does_not_answer(specs: Kernelspecs, monkeypatch: pytest.MonkeyPatch) -> None:
    async def names() -> list[str]:
        raise TimeoutError

    monkeypatch.setattr(specs, "names", names)
    (found,) = await kernels.check(specs)
    assert found.status == "problem"


async def test_kernels(tmp_path: Path, specs: Kernelspecs) -> None:
    _install(tmp_path, "good", sys.executable, "-m", "ipykernel_launcher")
    _install(tmp_path, "gone", "/no/such/python", "-m", "ipykernel_launcher")
    _install(tmp_path, "shell", "/bin/sh", language="bash")
    (tmp_path / "kernels" / "torn").mkdir()
    (tmp_path / "kernels" / "torn" / "kernel.json").write_text("{")

    found = await kernels.check(specs)

    good = _about(found, "kernel good")
    assert good.status == "ok"
    assert "ipykernel 7." in good.text
    assert "lossless" in good.text
    assert _about(found, "kernel gone").status == "problem"
    assert "kernelspec remove gone" in _about(found, "kernel gone").mend
    assert _about(found, "kernel shell").status == "ok"
    assert "not lossless" in _about(found, "kernel shell").text
    assert _about(found, "kernel torn").status == "problem"


@pytest.mark.parametrize(
    ("says", "status", "words"),
    [
        ("echo kernelwire 3.12.1 7.4.0", "ok", "Python 3.12.1, ipykernel 7.4.0"),
        ("echo noise; echo kernelwire 3.12.1 8.0.0rc1", "ok", "ipykernel 8.0.0rc1"),
        ("echo kernelwire 3.8.1 6.29.5", "warning", "ipykernel 6.29.5"),
        ("echo kernelwire 3.8.1 strange", "ok", "ipykernel strange"),
        ("exit 1", "problem", "has no ipykernel"),
        ("kill -9 $$", "problem", "has no ipykernel"),
    ],
)
async def test_what_an_interpreter_answers(
    says: str, status: str, words: str, tmp_path: Path, specs: Kernelspecs
) -> None:
    _install(tmp_path, "k", _script(tmp_path, says), "-m", "ipykernel_launcher")
    (found,) = await kernels.check(specs)
    assert found.status == status
    assert words in found.text
    if status != "ok":
        assert f"{tmp_path}/python3 -m pip install 'ipykernel>=7.4'" in found.mend


async def test_an_interpreter_that_hangs(tmp_path: Path, specs: Kernelspecs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "ASK_S", 0.3)
    _install(tmp_path, "k", _script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 100"), "-m", "ipykernel_launcher")
    (found,) = await kernels.check(specs)
    assert found.status == "problem"
    assert "did not answer" in found.text
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_state_directory(place: Path) -> None:
    findings = list(state.check(_resolved(place)))
    assert {finding.status for finding in findings} == {"ok"}
    assert "users: 1" in _about(findings, "database").text


def test_none_yet(tmp_path: Path) -> None:
    assert _of_state(tmp_path / "a" / "b", "state").status == "ok"
    assert not (tmp_path / "a").exists()
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    assert {finding.status for finding in state.check(_resolved(empty))} == {"ok"}
    assert not list(empty.iterdir())


def test_open_to_others(place: Path) -> None:
    (place / "secret").chmod(0o644)
    (place / "kernelwire.db").chmod(0o660)
    secrets = _of_state(place, "secrets")
    assert secrets.status == "problem"
    assert secrets.mend == f"cd {place} && chmod 600 secret kernelwire.db"
    place.chmod(0o755)
    directory = _of_state(place, "state")
    assert (directory.status, directory.mend) == ("problem", f"chmod 700 {place}")
    place.chmod(0o700)


def test_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert _of_state(tmp_path / "file", "state").status == "problem"
    assert _of_state(tmp_path / "link", "state").status == "problem"


@pytest.mark.parametrize(("free", "status"), [(1 << 40, "ok"), (500 << 20, "warning"), (1 << 20, "problem")])
def test_room(free: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", _always(Usage(1 << 41, 0, free)))
    assert _of_state(tmp_path / "state", "disk").status == status


def test_databases(place: Path) -> None:
    url = f"sqlite:///{place}/none.db"
    assert _of_state(place, "database", KERNELWIRE_AUTH__DATABASE_URL=url).status == "problem"
    wrong = _of_state(place, "database", KERNELWIRE_AUTH__DATABASE_URL="postgresql://u:a-pass-word@h/d")
    assert wrong.status == "problem"
    assert "a-pass-word" not in repr(wrong)
    with contextlib.closing(sqlite3.connect(place / "kernelwire.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    newer = _of_state(place, "database")
    assert newer.status == "problem"
    assert "newer kernelwire" in newer.text
    (place / "kernelwire.db").write_bytes(b"no database at all" * 100)
    assert _of_state(place, "database").status == "problem"
    (place / "kernelwire.db").write_bytes(b"")
    assert "older" in _of_state(place, "database").text


def test_sockets(place: Path, tmp_path: Path) -> None:
    directory = tmp_path / "kw-0123abcd"
    (place / "runtime").write_text(str(directory))
    assert _of_state(place, "sockets").status == "ok", "it is made at the next start"
    directory.mkdir(mode=0o700)
    long = len(str(directory)) + 33 > 107
    assert _of_state(place, "sockets").status == ("problem" if long else "ok")
    directory.chmod(0o755)
    assert _of_state(place, "sockets").status == "problem"
    (place / "runtime").write_text("/etc")
    assert _of_state(place, "sockets").status == "problem"


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for hard, status in ((1024, "warning"), (1 << 20, "ok"), (resource.RLIM_INFINITY, "ok")):
        monkeypatch.setattr(resource, "getrlimit", _always((1, hard)))
        assert _about(list(limits.check()), "open files").status == status


def test_nothing_runs(place: Path) -> None:
    findings = list(running.check(_resolved(place, KERNELWIRE_SERVE__PORT="0")))
    assert {finding.status for finding in findings} == {"ok"}
    assert _about(findings, "service").text == _about(findings, "host").text == "none runs"
    (place / "host.json").write_text("{}")
    assert "was killed" in _about(list(running.check(_resolved(place))), "host").text


def test_a_port_in_use(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = _resolved(place, KERNELWIRE_SERVE__PORT=str(taken.getsockname()[1]))
        assert _about(list(running.port(chosen)), "port").status == "warning"


@contextlib.contextmanager
def _answering(status: int) -> Generator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"reasons": ["host"]}')

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize(
    ("status", "version", "expected"),
    [(200, __version__, "ok"), (200, "0.0.1", "warning"), (503, __version__, "problem")],
)
def test_a_service_that_runs(status: int, version: str, expected: str, place: Path) -> None:
    lock = HostLock(place / serve_file.LOCK)
    assert lock.acquire()
    try:
        with _answering(status) as url:
            serve_file.write(place, ServeFile(url, os.getpid(), version))
            findings = list(running.check(_resolved(place)))
            assert _about(findings, "service").status == expected
            assert not [finding for finding in findings if finding.about == "port"]
        assert _about(list(running.check(_resolved(place))), "service").status == "problem", "it has gone"
    finally:
        lock.release()


def test_the_command(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    arguments = ["doctor", "--state-dir", str(place)]
    (place / "secret").chmod(0o644)
    assert cli.main([*arguments, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["problems"] == 1
    assert [one["about"] for one in said["findings"] if one["status"] == "problem"] == ["secrets"]
    (place / "secret").chmod(0o600)
    assert cli.main(arguments) == 0
    assert "problems: 0" in capsys.readouterr().out
    monkeypatch.setenv("KERNELWIRE_BRIDGE__NO_SUCH", "1")
    assert cli.main(arguments) == 1
    assert "bridge.no_such" in capsys.readouterr().out


NO_SANDBOX = SandboxSettings(profile="none")


def test_limits_that_nothing_keeps_are_said(tmp_path: Path) -> None:
    [users, quiet] = limits.of_kernels(LimitSettings(cgroup="off", uid_base=None), NO_SANDBOX, tmp_path)
    assert users.status == "ok"
    assert "bridge.limits.uid_base" in users.text
    assert (quiet.status, quiet.about) == ("ok", "kernel limits")
    assert "bridge.limits.processes is not in force" in quiet.text
    with_memory = LimitSettings(cgroup="off", memory_bytes=1 << 30, uid_base=None)
    [_, asked] = limits.of_kernels(with_memory, NO_SANDBOX, tmp_path)
    assert asked.status == "warning"
    assert "address space" in asked.text
    assert "Delegate=yes" in asked.mend


def test_limits_that_cgroups_keep(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids io")
    asked = LimitSettings(cgroup=str(tmp_path), memory_bytes=1 << 30, cpus=1.0)
    [_, found] = limits.of_kernels(asked, NO_SANDBOX, tmp_path)
    assert found.status == "ok"
    assert "version 2 (cpu, memory, pids)" in found.text
