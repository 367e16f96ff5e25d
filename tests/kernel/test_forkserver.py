"""Kernels that a fork server has forked, and fork servers that fail. Kernels are asked through sessions."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import venv
from ast import literal_eval
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import IPython
import pytest
import pytest_asyncio

from kernel_bridge import hop
from kernel_bridge.forkserver.servers import ForkServers, ServerStatus
from tests.kernel.house import ALICE, House, house
from tests.kernel.test_launcher import SAME_CELLS

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOUND_S = 20.0
SCIENTIFIC_PYTHON = os.environ.get("SCIENTIFIC_PYTHON", sys.executable)
"""an interpreter with ipykernel, numpy and matplotlib, for the tests that need them"""


class FilledHouse(House):
    """Each session that is opened has a kernel of the pool."""

    async def open(self, caller: hop.Caller = ALICE, **members: Any) -> str:
        self.sessions.tend()
        async with asyncio.timeout(BOUND_S):
            assert await self.sessions.pool.settled() > 0
        session = await super().open(caller, **{"start": True, **members})
        assert self.sessions.get(caller, session).record.workdir in {path.name for path in self.kernels}
        return session

    @property
    def kernels(self) -> list[Path]:
        return list((self.root / "kernels").iterdir())


@pytest_asyncio.fixture(params=["forked", "pooled"], scope="module", loop_scope="module")
async def forked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """Sessions whose kernels are all forked from one server, when they are needed or before."""
    pooled = request.param == "pooled"
    kind = FilledHouse if pooled else House
    async with forking_house(tmp_path_factory.mktemp(request.param), kind=kind, pool=int(pooled)) as made:
        yield made


class forking_house:
    """A house whose fork servers are ready."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self._house = house(root, fork_server=True, **settings)

    async def __aenter__(self) -> House:
        made = await self._house.__aenter__()
        await made.factory.prepare_fork()
        await servers(made).settled()
        return made

    async def __aexit__(self, *error: Any) -> None:
        await self._house.__aexit__(*error)


def servers(home: House) -> ForkServers:
    assert home.factory.forks is not None
    return home.factory.forks


async def the_server(home: House) -> ServerStatus:
    async with asyncio.timeout(BOUND_S):
        (status,) = await servers(home).settled()
    return status


async def gone(pid: int) -> None:
    """Return when there is no such process, not even a zombie; at most BOUND_S."""
    async with asyncio.timeout(BOUND_S):
        while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110  an outside process
            await asyncio.sleep(0.02)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def value(home: House, session: str, code: str) -> Any:
    """The last expression of a cell, which must end well."""
    cell = await home.evaluate(session, code)
    assert cell.end == "ok", cell.text
    return literal_eval(cell.text)


async def is_forked(home: House, session: str) -> bool:
    await value(home, session, "1")
    record = home.record(session)
    assert parent_of(parent_of(record.pid)) == record.shim_pid, "between them is the init of its PID namespace"
    return parent_of(record.shim_pid) == (await the_server(home)).pid


# -- a forked kernel is as one that was started alone ------------------------------------------------------------------


async def test_the_tree_is_server_shim_kernel_and_each_shows_its_own_command_line(forked: House) -> None:
    session = await forked.open()
    assert await is_forked(forked, session)
    kernels = (await forked.ask(hop.ListKernels(caller=ALICE))).kernels
    assert next(kernel.preloaded for kernel in kernels if kernel.default)
    record = forked.record(session)

    def words(pid: int) -> list[str]:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")

    assert words(record.pid) == record.argv
    assert words(record.shim_pid)[-2:] == [str(Path(hop.__file__).with_name("shim.py")), record.kid]
    assert os.getsid(record.pid) == record.pid
    assert os.getsid(record.shim_pid) == record.shim_pid


async def test_everything_a_user_sees_is_as_in_a_kernel_started_alone(forked: House, tmp_path: Path) -> None:
    async def shown(home: House) -> list[str]:
        session = await home.open()
        await home.evaluate(session, "import sys, os\nopen('script.py', 'w').write('import sys; print(sys.argv)')")
        own = await value(home, session, "sys.argv[2], os.getcwd()")
        texts: list[str] = []
        for code in (*SAME_CELLS.values(), *SAME_HERE):
            text = (await home.evaluate(session, code)).text
            for word, name in zip(own, ("CONNECTION", "CWD"), strict=True):
                text = text.replace(word, name)
            # IPython breaks lines by their length, and that of the directory's name is the machine's matter
            texts.append(f"{code}: {' '.join(text.split())}")
        return texts

    async with house(tmp_path / "plain") as plain:
        alone = await shown(plain)
    differing = [pair for pair in zip(await shown(forked), alone, strict=True) if pair[0] != pair[1]]
    assert not differing
    assert any("spawn" in text and ": 3" in text for text in alone)


SAME_HERE = (
    "import signal; [signal.getsignal(n) for n in (1, 2, 13, 15, 17, 25)], signal.pthread_sigmask(0, ())",
    "dict(sorted(os.environ.items()))",
    "mask = os.umask(0); os.umask(mask), os.getpgid(0) == os.getpid() == os.getsid(0)",
    "sys.stdin, sys.__stdin__.fileno(), os.read(0, 1), sys.__stdout__.encoding, sys.__stderr__.errors",
    "import gc; gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit(), sys.getswitchinterval()",
    "import threading; threading.current_thread() is threading.main_thread(), threading.main_thread().ident > 0",
    "import multiprocessing as mp; mp.current_process().name, mp.parent_process(), mp.process.ORIGINAL_DIR",
    "import locale, time; locale.getlocale(), time.tzname, locale.setlocale(locale.LC_CTYPE)",
    "import tempfile; tempfile.gettempdir()",
    "get_ipython().history_manager.enabled, get_ipython().kernel.session.pid == os.getpid()",
    "len(get_ipython().kernel._kernel_modules) > 500, __import__('ipykernel.ipkernel').ipkernel.sys is sys",
    "from ipykernel.kernelapp import IPKernelApp as A; A.instance().parent_handle, A.instance().poller",
)


async def test_nothing_of_the_server_is_open_in_a_kernel(forked: House) -> None:
    session = await forked.open()
    await value(forked, session, "1")
    record = forked.record(session)
    server = (await the_server(forked)).pid
    assert server is not None

    def opened(process: int) -> set[str]:
        return {str(path.readlink()) for path in Path(f"/proc/{process}/fd").iterdir()}

    shared = opened(record.pid) & opened(server)
    assert shared <= {"/dev/null"}
    assert len(opened(server)) == 3, "its socket, a pipe for what it prints, /dev/null"
    shim = opened(record.shim_pid)
    assert len(shim) == 5, "/dev/null, its own wake-up pipe, the kernel's output and process, what its init says"
    assert shim & opened(server) <= {"/dev/null"}
    assert len(opened(parent_of(record.pid))) == 1, "the pipe to the shim"


async def test_two_kernels_share_no_secret_and_no_random_number(forked: House) -> None:
    code = (
        "import os, random, tempfile, uuid, multiprocessing, secrets\n"
        "(random.random(), random.getstate()[1][0], next(tempfile._get_candidate_names()), uuid.uuid4().hex,"
        " bytes(multiprocessing.current_process().authkey).hex(), secrets.token_hex(), os.urandom(8).hex(),"
        " uuid.uuid1().hex)"
    )
    sessions = [await forked.open() for _ in range(2)]
    one, two = await asyncio.gather(*(value(forked, session, code) for session in sessions))
    assert all(mine != other for mine, other in zip(one, two, strict=True))


async def test_hash_seeds_are_equal_in_all_kernels_of_a_server(forked: House) -> None:
    sessions = [await forked.open() for _ in range(2)]
    one, two = [await value(forked, session, "hash('kernelwire')") for session in sessions]
    assert one == two, "the documents say so"


async def test_hardly_anything_is_imported_after_the_fork(forked: House) -> None:
    session = await forked.open()
    before = set(await value(forked, session, "import sys; list(sys.modules)"))
    await forked.evaluate(session, "1/0")
    for code in ("sys.pa", "import collections; collections.Orde", "undefined.na"):
        await forked.ask(hop.Complete(caller=ALICE, session=session, code=code, cursor_pos=len(code)))
    await forked.ask(hop.Inspect(caller=ALICE, session=session, code="len", cursor_pos=3, detail_level=1))
    await forked.evaluate(session, "%timeit -n1 -r1 1\n!echo")
    imported = set(await value(forked, session, "list(sys.modules)")) - before
    assert len(imported) <= 3, sorted(imported)


async def test_interrupt_input_and_late_threads(forked: House) -> None:
    session = await forked.open()
    running = asyncio.create_task(forked.evaluate(session, "import time\ntime.sleep(60)"))
    await forked.until(session, "execute_input")
    await forked.ask(hop.Interrupt(caller=ALICE, session=session))
    assert (await running).end == "interrupted"
    asking = asyncio.create_task(forked.evaluate(session, "input('name? ') * 2", allow_stdin=True))
    asked = await forked.until(session, "input_request")
    await forked.ask(hop.InputReply(caller=ALICE, session=session, id=asked.content["id"], value="ab"))
    assert (await asking).text.endswith("'abab'")
    code = (
        "import threading\nfound = []\nt = threading.Thread(target=found.append, args=(1,))\nt.start(); t.join(); found"
    )
    assert await value(forked, session, code) == [1]


async def test_processes_of_a_forked_kernel(forked: House) -> None:
    session = await forked.open()
    code = (
        "import multiprocessing as mp, os, subprocess, sys\n"
        "def child(q): q.put((os.getppid(), mp.parent_process().pid))\n"
        "context = mp.get_context('fork')\nq = context.Queue()\np = context.Process(target=child, args=(q,))\n"
        "p.start(); told = q.get(timeout=20); p.join(20)\n"
        "with mp.get_context('spawn').Pool(1) as pool: spawned = pool.apply(os.getppid)\n"
        "out = subprocess.run([sys.executable, '-c', 'import os; print(os.getcwd(), os.environ[\"PATH\"])'],"
        " capture_output=True, text=True).stdout\n"
        "expected = f\"{os.getcwd()} {os.environ['PATH']}\\n\"\n"
        "told == (os.getpid(),) * 2, p.exitcode, spawned == os.getpid(), out == expected"
    )
    assert await value(forked, session, code) == (True, 0, True, True)


@pytest.mark.parametrize(
    ("code", "status", "number"),
    [("import os; os._exit(3)", 3, None), ("import os; os.kill(os.getpid(), 9)", None, 9)],
)
async def test_a_death_is_told_as_it_was(forked: House, code: str, status: int | None, number: int | None) -> None:
    session = await forked.open()
    cell = await forked.evaluate(session, code)
    assert cell.end == "kernel_died"
    assert cell.exit is not None
    assert (cell.exit.code, cell.exit.signal) == (status, number)
    assert await is_forked(forked, session)


async def test_a_restart_forks_again_in_the_same_directory(forked: House) -> None:
    session = await forked.open()
    before = await value(forked, session, "import os; open('file', 'w').close(); kept = 1; os.getcwd()")
    pid = forked.record(session).pid
    await forked.ask(hop.Restart(caller=ALICE, session=session))
    assert await value(forked, session, "import os; os.getcwd()") == before
    assert forked.record(session).pid != pid
    assert await is_forked(forked, session)
    assert await value(forked, session, "'kept' in globals(), os.path.exists('file')") == (False, True)


async def test_an_atexit_handler_runs_and_sees_the_objects_of_cells(forked: House) -> None:
    session = await forked.open()
    code = (
        "import atexit, os, pickle\nclass A: pass\n"
        "def last(path=os.path.abspath('left')): open(path, 'w').write(repr(pickle.loads(pickle.dumps(A))))\n"
        "atexit.register(last); os.path.abspath('left')"
    )
    left = Path(await value(forked, session, code))
    await forked.ask(hop.Restart(caller=ALICE, session=session))
    assert left.read_text() == "<class '__main__.A'>"


async def test_many_at_once_and_no_zombies(forked: House) -> None:
    sessions = [await forked.open() for _ in range(4)]
    await asyncio.gather(*(value(forked, session, "1") for session in sessions))
    records = [forked.record(session) for session in sessions]
    pids, shims = [record.pid for record in records], [record.shim_pid for record in records]
    assert len(set(pids)) == 4
    for session in sessions:
        await forked.ask(hop.CloseSession(caller=ALICE, session=session))
    server = (await the_server(forked)).pid
    children = Path(f"/proc/{server}/task/{server}/children")
    async with asyncio.timeout(BOUND_S):
        while set(shims) & {int(pid) for pid in children.read_text().split()}:  # noqa: ASYNC110  an outside process
            await asyncio.sleep(0.02)
    assert not [pid for pid in (*pids, *shims) if Path(f"/proc/{pid}").exists()]


# -- the environment ---------------------------------------------------------------------------------------------------


async def test_a_server_has_no_variable_of_one_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {
        "argv": [sys.executable, "-X", "dev", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Own",
        "language": "python",
        "env": {"DATABASE_PASSWORD": "s3cret", "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "3"},
    }
    place = tmp_path / "kernels" / "own"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    async with house(tmp_path / "house", fork_server=True) as home:
        first = await home.open(kernel="own")
        await value(home, first, "1")
        server = (await the_server(home)).pid
        assert server is not None
        own = Path(f"/proc/{server}/environ").read_bytes()
        assert b"PYTHONHASHSEED=7" in own
        assert b"s3cret" not in own
        session = await home.open(kernel="own")
        code = "import os, sys; os.environ['DATABASE_PASSWORD'], os.environ['OMP_NUM_THREADS'], sys.flags.dev_mode"
        assert await value(home, session, code) == ("s3cret", "3", True)
        assert await is_forked(home, session)
        assert await value(home, session, "hash('a')") == await value(home, first, "hash('a')")


# -- other interpreters ------------------------------------------------------------------------------------------------

WRAPPER = """#!/bin/sh
test "$1" = --python || exit 2
shift
SAGE_LOCAL=wrapped exec {python} "$@"
"""


@pytest.mark.parametrize("wrapped", [False, True], ids=["venv", "sage"])
async def test_another_interpreter_has_a_server_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    """A virtual environment which finds this one's packages, or a command as Sage's, with a kernel class of its own."""
    prefix = tmp_path / "venv"
    venv.create(prefix, symlinks=True)
    python = prefix / "bin" / "python"
    (site,) = prefix.glob("lib/python*/site-packages")
    (site / "ours.pth").write_text(str(Path(IPython.__file__).parents[1]))
    (site / "only_there.py").write_text("value = 7")
    sage = tmp_path / "sage"
    sage.write_text(WRAPPER.format(python=python))
    sage.chmod(0o700)
    words = [str(sage), "--python"] if wrapped else [str(python)]
    spec = {
        "argv": [*words, "-m", "tests.kernel.launcher_subclass", "-f", "{connection_file}"],
        "display_name": "Other",
        "language": "python",
        "env": {"PYTHONPATH": str(Path(__file__).parents[2])},
    }
    place = tmp_path / "kernels" / "other"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    settings = {"preload": {"other": ["only_there"]}, "pool": 1, "pool_kernels": {"other": 1}}
    async with forking_house(tmp_path / "house", **settings) as home:
        await value(home, await home.open(kernel="other"), "1")  # starts the server
        async with asyncio.timeout(BOUND_S):
            default, other = sorted(await servers(home).settled(), key=lambda status: len(status.preload))
            home.sessions.tend()
            assert await home.sessions.pool.settled() == 2
        assert (default.preload, other.preload, other.left_out) == ((), ("only_there",), {})
        assert None not in (default.pid, other.pid)
        assert default.pid != other.pid
        assert {
            kernel.name: kernel.preloaded for kernel in (await home.ask(hop.ListKernels(caller=ALICE))).kernels
        } == {
            "python3": True,
            "other": True,
        }
        for _ in range(2):  # from the pool, then forked
            session = await home.open(kernel="other")
            code = "import os, sys, only_there\nmade_by, sys.prefix, only_there.value, os.environ.get('SAGE_LOCAL')"
            assert await value(home, session, code) == ("subclass", str(prefix), 7, "wrapped" if wrapped else None)
            assert parent_of(home.record(session).shim_pid) == other.pid
        ours = await home.open()
        assert await value(home, ours, "import sys; sys.prefix") == sys.prefix
        assert parent_of(home.record(ours).shim_pid) == default.pid


# -- preloads ----------------------------------------------------------------------------------------------------------

MODULES = {
    "good": "value = 1",
    "broken": "raise RuntimeError('no luck')",
    "quits": "raise SystemExit(3)",
    "threaded": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "holder": "import os\nkept = os.open('/etc/hostname', os.O_RDONLY)",
    "dies": "import os\nos._exit(7)",
    "late": "import threading\nshort = threading.Thread(target=int)\nshort.start()",
}


async def test_preloads_that_cannot_be_are_left_out_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    preload = {"python3": [*MODULES, "not_installed", "scientific"]}
    async with forking_house(tmp_path / "house", preload=preload) as home:
        status = await the_server(home)
        assert set(status.left_out) == {"broken", "quits", "threaded", "holder", "dies", "not_installed"}
        assert status.left_out["broken"] == "RuntimeError: no luck"
        assert "starts a thread" in status.left_out["threaded"]
        assert "keeps /etc/hostname open" in status.left_out["holder"]
        assert "does not come to an end" in status.left_out["dies"]
        session = await home.open()
        assert await is_forked(home, session)
        code = "import sys; [name for name in ('good', 'late', 'threaded', 'dies') if name in sys.modules]"
        assert await value(home, session, code) == ["good", "late"]


@pytest.mark.parametrize(("kind", "pool"), [(House, 0), (FilledHouse, 1)], ids=["forked", "pooled"])
@pytest.mark.skipif(
    not list(Path(SCIENTIFIC_PYTHON).parents[1].glob("lib/python*/site-packages/matplotlib")),
    reason="SCIENTIFIC_PYTHON has no matplotlib",
)
async def test_scientific_kernels_plot_inline_and_have_numbers_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[House], pool: int
) -> None:
    spec = {
        "argv": [SCIENTIFIC_PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Science",
        "language": "python",
    }
    place = tmp_path / "kernels" / "python3"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    settings = {"preload": {"python3": ["scientific"]}, "pool": pool}
    async with forking_house(tmp_path / "house", kind=kind, **settings) as home:
        status = await the_server(home)
        assert status.left_out == {}
        sessions = [await home.open() for _ in range(2)]
        code = (
            "import sys\nsympy = sys.modules.get('sympy.core.random')\n"
            "[sys.modules['numpy'].random.rand(), *([sympy.random()] if sympy else [])]"
        )
        one, two = [await value(home, session, code) for session in sessions]
        assert set(one).isdisjoint(two)
        plot = await home.evaluate(sessions[0], "import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
        assert [sorted(output["data"]) for output in plot.outputs] == [["image/png", "text/plain"]]
        again = await home.evaluate(sessions[0], "plt.figure(); plt.plot([3]); plt.show()")
        assert "image/png" in again.outputs[-1]["data"]
        product = "import numpy as np; float((np.ones((300, 300)) @ np.ones((300, 300)))[0, 0])"
        assert await value(home, sessions[1], product) == 300.0


# -- servers that fail -------------------------------------------------------------------------------------------------


async def test_after_a_killed_server_kernels_live_and_the_next_are_started_alone_then_forked(tmp_path: Path) -> None:
    async with forking_house(tmp_path) as home:
        first = await home.open()
        assert await is_forked(home, first)
        server = (await the_server(home)).pid
        assert server is not None
        os.kill(server, signal.SIGKILL)
        second = await home.open()
        await value(home, second, "1")
        assert parent_of(home.record(second).shim_pid) == os.getpid(), "started alone: its shim is our child"
        assert await value(home, first, "1 + 1") == 2
        status = await the_server(home)
        assert status.pid not in (None, server)
        third = await home.open()
        assert await is_forked(home, third)


async def test_a_server_that_does_not_answer_costs_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel_bridge.forkserver.client.ANSWER_S", 0.2)
    async with forking_house(tmp_path) as home:
        server = (await the_server(home)).pid
        assert server is not None
        os.kill(server, signal.SIGSTOP)
        session = await home.open()
        assert await value(home, session, "1 + 1") == 2
        await gone(server)


async def test_a_kernel_that_dies_only_when_it_is_forked_is_started_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fragile.py").write_text("import os\nos.register_at_fork(after_in_child=lambda: os._exit(9))\n")
    (tmp_path / "brittle.py").write_text(
        "import tempfile\nclass Names:\n    def __setattr__(self, *a): raise TypeError\n"
        "import sys\nsys.modules['tempfile'] = object()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for module in ("fragile", "brittle"):
        async with forking_house(tmp_path / f"house-{module}", preload={"python3": [module]}) as home:
            session = await home.open()
            assert await value(home, session, "1 + 1") == 2
            assert not any(event.type == "notice" for event in await home.events(session))
            status = await the_server(home)
            assert (status.pid, status.fault) == (None, "a kernel started well only without it")


async def test_new_packages_end_the_server_that_does_not_know_them(tmp_path: Path) -> None:
    async with forking_house(tmp_path / "house") as home:
        before = (await the_server(home)).pid
        install_something()
        session = await home.open()
        assert await value(home, session, "1 + 1") == 2
        after = await the_server(home)
        assert after.pid not in (None, before)
        assert await is_forked(home, await home.open())


def install_something() -> None:
    """Leave the trace of an installation where this interpreter's packages are."""
    made = Path(IPython.__file__).parents[1] / f"kernelwire-test-{os.getpid()}"
    made.mkdir()
    made.rmdir()


async def test_a_used_up_server_is_replaced_without_a_gap(tmp_path: Path) -> None:
    async with forking_house(tmp_path) as home:
        await servers(home).close()
        home.factory.forks = ForkServers(forks_per_server=2)
        await home.factory.prepare_fork()
        first = await the_server(home)
        for _ in range(3):
            assert re.fullmatch(r"\d+", (await home.evaluate(await home.open(), "import os; os.getppid()")).text)
        second = await the_server(home)
        assert second.pid not in (None, first.pid)
        assert first.pid is not None
        await gone(first.pid)


HOST = """
import asyncio, sys
from pathlib import Path
from tests.kernel.test_forkserver import forking_house, the_server, value

async def main():
    async with forking_house(Path(sys.argv[1])) as home:
        session = await home.open()
        await value(home, session, "1")
        record = home.record(session)
        print((await the_server(home)).pid, record.pid, record.shim_pid, home.factory.place.sockets, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_host_takes_its_server_along_but_no_kernel(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOST, str(tmp_path), cwd=root, stdout=asyncio.subprocess.PIPE
    )
    assert host.stdout is not None
    async with asyncio.timeout(BOUND_S):
        *pids, sockets = (await host.stdout.readline()).split()
    server, kernel, shim = map(int, pids)
    host.kill()
    await host.wait()
    await gone(server)
    try:
        assert Path(f"/proc/{kernel}/cmdline").read_bytes().startswith(sys.executable.encode())
    finally:
        os.kill(shim, signal.SIGTERM)
    await gone(kernel)
    await gone(shim)
    shutil.rmtree(os.fsdecode(sockets))
