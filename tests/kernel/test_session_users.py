"""Kernels with users of their own, where this process may make such. From an interpreter that others can run."""

import json
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge import hop, launch, privileges
from kernel_bridge.forkserver import server
from tests.kernel.house import ALICE
from tests.kernel.real_host import RealHost, real_host

_PROGRAMS = (Path(sys.executable), Path(launch.__file__).parent, Path(server.__file__).parent)
OBSTACLES = [reason for path in _PROGRAMS if (reason := privileges.obstacle(path))]
pytestmark = pytest.mark.skipif(
    not privileges.has() or bool(OBSTACLES), reason=f"needs root, and a Python that others can run: {OBSTACLES}"
)
READ = """
def tried(path):
    import os
    try:
        return os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read()
    except OSError as error:
        return error.errno
"""


def reachable(tmp_path: Path) -> Path:
    for above in (tmp_path, *tmp_path.parents[:-2]):
        above.chmod(0o711)
    return tmp_path


def uid_of(host: RealHost, session: str) -> int:
    return json.loads((host.state_dir / "sessions" / session / "session.json").read_bytes())["uid"]


async def value(host: RealHost, session: str, code: str) -> Any:
    cell = await host.evaluate(session, code, wait=60.0)
    assert cell.end == "ok", cell.text
    return literal_eval(cell.text)


async def test_sessions_are_nobody_to_each_other(tmp_path: Path) -> None:
    async with real_host(reachable(tmp_path)) as host:
        mine, other = await host.open(), await host.open()
        for session in (mine, other):
            await host.evaluate(session, READ + "import os\nopen('note', 'w').write('secret')", wait=60.0)
        uids = [await value(host, session, "os.getresuid()") for session in (mine, other)]
        assert uids == [(uid_of(host, session),) * 3 for session in (mine, other)]
        assert uids[0] != uids[1]
        assert await value(host, mine, "tried('note')") == b"secret"

        workdir = await value(host, other, "os.getcwd()")
        assert await value(host, mine, "os.environ['HOME'] == os.getcwd()")
        runtime = (host.state_dir / "runtime").read_text()
        closed = [f"{workdir}/note", workdir, str(host.state_dir), f"{host.state_dir}/hop-secret", runtime]
        keys = host.state_dir.glob("kernels/*/connection.json")
        closed += [str(path) for path in keys if path.stat().st_uid != uids[0][0]]
        closed += [f"{host.state_dir}/sessions/{mine}", f"{host.state_dir}/kernels"]
        for path in closed:
            assert await value(host, mine, f"tried({path!r})") == 13, path
        pid = await value(host, other, "os.getpid()")
        kill = await host.evaluate(mine, f"os.kill({pid}, 9)")
        assert "PermissionError" in kill.text


async def test_they_keep_their_user_and_their_files(tmp_path: Path) -> None:
    async with real_host(reachable(tmp_path)) as host:
        session = await host.open()
        await host.evaluate(session, "import os; open('note', 'w').write('1'); x = 5", wait=60.0)
        uid = uid_of(host, session)
        await host.replace()
        assert await value(host, session, "x, os.getuid()") == (5, uid)
        assert (await host.evaluate(session, "os._exit(1)")).end == "kernel_died"
        assert await value(host, session, "import os; os.getuid(), open('note').read()") == (uid, "1")
        cell = await host.evaluate(session, "import time; time.sleep(60)", wait=0.0)
        await host.until(session, "execute_input", cursor=cell.cursor)
        assert (await host.ask(hop.Interrupt(caller=ALICE, session=session))).step == "interrupt"
