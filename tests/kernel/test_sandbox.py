"""The sandbox as its kernels see it: what works in it, how it ends, and what the settings change."""

import asyncio
import json
import os
import signal
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge import hop
from kernel_bridge.errors import KernelStartFailed
from kernel_bridge.sandbox import sandboxes
from kernel_bridge.sandbox.probe import Layer, Layers, probe
from kernel_bridge.sandbox.settings import SandboxSettings
from tests.kernel.house import ALICE, BOB, House, house
from tests.kernel.test_forkserver import forking_house, gone, is_forked, parent_of, value

pytestmark = pytest.mark.skipif(probe().level != "namespaces", reason=f"this machine has only: {probe()}")

BOUND_S = 20.0
WORKS = {
    "processes": "import subprocess\n"
    "subprocess.run(['sh', '-c', 'echo $HOME'], capture_output=True, text=True).stdout == os.getcwd() + '\\n'",
    "multiprocessing": "import multiprocessing as mp\n"
    "with mp.get_context('fork').Pool(2) as p: f = p.map(abs, [-1, -2])\n"
    "with mp.get_context('spawn').Pool(1) as p: s = p.map(abs, [-3])\n"
    "lock = mp.Lock(); (f, s) == ([1, 2], [3])",
    "shared memory": "from multiprocessing.shared_memory import SharedMemory\n"
    "m = SharedMemory(create=True, size=10); m.buf[0] = 7; ok = m.buf[0] == 7; m.close(); m.unlink(); ok",
    "a terminal": "import pty, os\nm, s = pty.openpty(); os.write(s, b'x'); os.isatty(s)",
    "loopback": "import socket\n"
    "with socket.create_server(('127.0.0.1', 0)) as s, socket.create_connection(s.getsockname()): ok = True\nok",
    "temporary files": "import tempfile\nwith tempfile.NamedTemporaryFile() as f: ok = f.name.startswith('/tmp/')\nok",
    "its user": "import pwd; pwd.getpwuid(os.getuid()).pw_dir == os.getcwd() == os.path.expanduser('~')",
    "threads": "import threading\nt = threading.Thread(target=int); t.start(); t.join(); True",
    "its own children": "import subprocess\np = subprocess.Popen(['sleep', '60']); p.kill(); p.wait() == -9",
}


def settings(**sandbox: Any) -> dict[str, Any]:
    return {"sandbox": SandboxSettings(**sandbox)}


def namespace(pid: int | str, kind: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


async def test_what_programs_need_works(home: House) -> None:
    session = await home.open()
    failed = {}
    for name, code in WORKS.items():
        cell = await home.evaluate(session, f"import os\n{code}")
        if cell.text.strip() != "True":
            failed[name] = cell.text
    assert not failed


async def test_a_forked_kernel_completes_what_is_not_imported(tmp_path: Path) -> None:
    async with forking_house(tmp_path) as home:
        session = await home.open()
        assert await is_forked(home, session)
        found = await home.ask(hop.Complete(caller=ALICE, session=session, code="import textwrap; textwrap.wr"))
        assert [match.text for match in found.matches] == ["wrap"]
        places = "import jedi, os, parso\n[jedi.settings.cache_directory, str(parso.cache._default_cache_path)]"
        assert await value(
            home, session, f"{places} == [os.getcwd() + '/.cache/' + name for name in ('jedi', 'parso')]"
        )


async def test_no_capability_no_new_privileges_and_the_kernel_is_not_process_1(home: House) -> None:
    session = await home.open()
    assert await value(home, session, "import os; os.getpid(), os.getppid()") == (2, 1)
    text = await value(home, session, "open('/proc/self/status').read()")
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert {status[f"Cap{name}"].strip() for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert status["Umask"].strip() == f"{_umask():04o}"


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("code", "status", "number"),
    [
        ("import os; os._exit(3)", 3, None),
        ("import os; os.kill(os.getpid(), 15)", None, 15),
        ("import os; os.kill(os.getpid(), 9)", None, 9),
    ],
)
async def test_the_end_is_told_as_it_was(home: House, code: str, status: int | None, number: int | None) -> None:
    cell = await home.evaluate(await home.open(), code)
    assert cell.exit is not None
    assert (cell.end, cell.exit.code, cell.exit.signal) == ("kernel_died", status, number)


@pytest.mark.parametrize("victim", ["shim", "init", "kernel"])
async def test_with_any_of_them_all_end(home: House, victim: str) -> None:
    session = await home.open()
    code = "import subprocess, sys; subprocess.Popen(['sleep', '600'], start_new_session=True).pid"
    await value(home, session, code)
    record = home.record(session)
    init = parent_of(record.pid)
    tree = [record.shim_pid, init, *_children(init), *_children(record.pid)]
    assert len(tree) == 4
    running = asyncio.create_task(home.evaluate(session, "import time; time.sleep(60)"))
    await home.until(session, "execute_input", code="import time; time.sleep(60)")
    os.kill({"shim": record.shim_pid, "init": init, "kernel": record.pid}[victim], signal.SIGKILL)
    async with asyncio.timeout(BOUND_S):
        assert (await running).end == "kernel_died"
    for pid in tree:
        await gone(pid)
    assert await value(home, session, "1 + 1") == 2


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_nobody_inside_can_end_the_init(home: House) -> None:
    session = await home.open()
    cell = await home.evaluate(session, "import os\nfor n in (9, 15, 19, 2): os.kill(1, n)")
    assert "PermissionError" in cell.text or cell.end == "ok", "Landlock, or the PID namespace"
    assert await value(home, session, "1 + 1") == 2


async def test_a_kernel_that_is_no_python_is_in_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Executed as any kernelspec says, without our launcher; its interpreter and its own folder are found."""
    place = tmp_path / "kernels" / "echo"
    place.mkdir(parents=True)
    program = Path(__file__).with_name("echo_kernel.py").read_text()
    (place / "kernel.py").write_text(program)
    spec = {
        "argv": [sys.executable, "{resource_dir}/kernel.py", "{connection_file}"],
        "display_name": "Echo",
        "language": "echo",
    }
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    async with house(tmp_path / "house") as home:
        session = await home.open(kernel="echo")
        assert (await home.evaluate(session, "hello")).end == "ok"
        record = home.record(session)
        assert namespace(record.pid, "pid") != namespace("self", "pid")
        assert parent_of(parent_of(record.pid)) == record.shim_pid


async def test_mounts_and_sizes_of_the_settings(tmp_path: Path) -> None:
    for name in ("read", "write"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
    given = settings(
        mounts_ro=[str(tmp_path / "read")],
        mounts_rw=[str(tmp_path / "write"), str(tmp_path / "house")],
        tmp_bytes=1 << 20,
    )
    async with house(tmp_path / "house", **given) as home:
        session = await home.open()
        read, write = str(tmp_path / "read" / "file"), str(tmp_path / "write" / "file")
        assert await value(home, session, f"open({read!r}).read() + open({write!r}, 'a+').name") == "text" + write
        assert "Read-only file system" in (await home.evaluate(session, f"open({read!r}, 'w')")).text
        assert "No space left" in (await home.evaluate(session, "open('/tmp/x', 'wb').write(bytes(2 << 20))")).text
        state = str(tmp_path / "house" / "sessions")
        assert "No such file" in (await home.evaluate(session, f"import os; os.listdir({state!r})")).text


async def test_profiles_of_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home_directory = tmp_path / "home"
    home_directory.mkdir()
    (home_directory / "own").write_text("mine")
    monkeypatch.setenv("HOME", str(home_directory))
    given = settings(users={"alice": "network", "bob": "trusted"})
    async with house(home_directory / "state", **given) as home:
        code = f"import os; os.readlink('/proc/self/ns/net'), os.path.exists({str(home_directory / 'own')!r})"
        network = (namespace("self", "net"), False)
        trusted = (namespace("self", "net"), True)
        for caller, expected in ((ALICE, network), (BOB, trusted)):
            session = await home.open(caller)
            cell = await home.ask(hop.Evaluate(caller=caller, session=session, code=code))
            assert literal_eval(cell.text) == expected
        secret = str(home_directory / "state" / "host.lock")
        cell = await home.ask(hop.Evaluate(caller=BOB, session=session, code=f"open({secret!r})"))
        assert "FileNotFoundError" in cell.text


async def test_a_sandbox_that_cannot_be_entered_is_no_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the probe took for possible and is not: nothing runs outside in its place."""

    def everything_is_there(path: str) -> bool:
        return bool(path)

    monkeypatch.setattr("kernel_bridge.sandbox.mounts.os.path.exists", everything_is_there)
    async with house(tmp_path) as home:
        session = await home.open()
        with pytest.raises(KernelStartFailed) as failed:
            await home.ask(hop.OpenSession(caller=ALICE, session=session, start=True))
        assert "cannot enter the sandbox" in str(failed.value.stderr)


async def test_without_namespaces_kernels_still_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [layer for layer in probe().all if layer.name != "namespaces"]
    less = Layers((Layer("namespaces", there=False, words="not taken"), *taken))
    if less.level is None:
        pytest.skip(f"nothing is left: {less}")
    monkeypatch.setattr(sandboxes, "probe", lambda: less)
    async with house(tmp_path) as home:
        session = await home.open()
        for name in ("processes", "multiprocessing", "its own children", "threads"):
            cell = await home.evaluate(session, f"import os\n{WORKS[name]}")
            assert cell.text.strip() == "True", (name, cell.text)
        assert "Permission denied" in (await home.evaluate(session, "open('/etc/passwd')")).text
        assert (await home.evaluate(session, "import os; os._exit(4)")).exit is not None
