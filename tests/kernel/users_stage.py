"""Hosts whose sessions have users of their own, as root or as an ordinary user with the capabilities for it.

    PYTHON -m tests.kernel.users_stage DIRECTORY SCENARIO

PYTHON is one that every user can run. Ends with 0 if all was as it should be.
"""

import asyncio
import json
import os
import sys
from ast import literal_eval
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from kernel_bridge import hop
from kernel_bridge.errors import KernelStartFailed
from kernel_bridge.kernel_record import read_record
from kernel_bridge.limit_settings import LimitSettings
from tests.kernel.house import ALICE
from tests.kernel.real_host import RealHost, real_host

BOUND_S = 60.0
WITHOUT = ("setpriv", "--inh-caps=-all", "--ambient-caps=-all", sys.executable, "-P", "-m", "kernelwire")
NO_USERS: dict[str, Any] = {"limits__uid_base": "null"}
ATTEMPT = """
import os
def tried(path):
    try:
        return os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read()
    except OSError as error:
        return error.errno
def powers():
    lines = open('/proc/self/status').read().splitlines()
    return {line.split()[1] for line in lines if line.startswith(('CapInh', 'CapPrm', 'CapEff', 'CapAmb'))}
"""
NONE = {"0000000000000000"}


async def value(host: RealHost, session: str, code: str) -> Any:
    cell = await host.evaluate(session, code, wait=BOUND_S)
    assert cell.end == "ok", cell.text
    return literal_eval(cell.text) if cell.text else None


def stored(host: RealHost, session: str) -> dict[str, Any]:
    return json.loads((host.state_dir / "sessions" / session / "session.json").read_bytes())


def owner(host: RealHost, session: str) -> int:
    return (host.state_dir / "workdirs" / stored(host, session)["workdir"]).stat().st_uid


async def nobody_to_each_other(root: Path, profile: str) -> None:
    settings: dict[str, Any] = {"sandbox__profile": profile, "fork_server": "false"}
    async with real_host(root, **settings) as host:
        mine, other = await host.open(), await host.open()
        for session in (mine, other):
            await value(host, session, f"{ATTEMPT}\nopen('note', 'w').write('secret')")
        uids = [stored(host, session)["uid"] for session in (mine, other)]
        assert uids[0] != uids[1], uids
        assert min(uids) >= (LimitSettings().uid_base or 0), uids
        for session, uid in zip((mine, other), uids, strict=True):
            ids = await value(host, session, "os.getresuid(), os.getresgid(), os.getgroups()")
            assert ids == ((uid,) * 3, (uid,) * 3, []), ids
            assert await value(host, session, "powers()") == NONE
            assert await value(host, session, "os.environ['HOME'] == os.getcwd()") is True
            assert owner(host, session) == uid
        assert await value(host, mine, "tried('note')") == b"secret"
        workdir = await value(host, other, "os.getcwd()")
        state, record = host.state_dir, host.record(other)
        sockets = Path((state / "runtime").read_text())
        ways = [state, state / "workdirs", state / "kernels", sockets]
        closed = [f"{workdir}/note", workdir, sockets / record.kid, state / "sessions" / mine]
        closed += [path for path in state.iterdir() if path not in ways]
        closed += [
            *(state / "kernels" / record.kid).iterdir(),
            state / "kernels" / host.record(mine).kid / "kernel.json",
        ]
        closed += ways if profile == "none" else []  # in a sandbox there are others in their places, with its own in it
        for path in closed:
            found = await value(host, mine, f"tried({str(path)!r})")
            assert found == 13 or (found == 2 and profile != "none"), (path, found)
        kill = await host.evaluate(mine, f"os.kill({record.pid}, 9)")
        assert "PermissionError" in kill.text or "ProcessLookupError" in kill.text, kill.text


async def they_keep_their_user(root: Path, pooled: bool) -> None:
    """Through the end of the host, of the kernel, a restart; what a session had is gone with it."""
    patience = {"interrupt_again_s": BOUND_S, "interrupt_kill_s": BOUND_S}
    async with real_host(root, pool=1 if pooled else 0, **patience) as host:
        uid = await _waiting(host) if pooled else None
        session = await host.open()
        begun = await host.evaluate(session, f"{ATTEMPT}\nopen('note', 'w').write('1'); x = 5", wait=BOUND_S)
        assert begun.end == "ok", begun.text
        own = stored(host, session)["uid"]
        assert own is not None
        assert uid in (None, own), (uid, own)
        assert await value(host, session, "powers()") == NONE
        await host.replace()
        assert await value(host, session, "x, os.getuid()") == (5, own)
        cell = await host.evaluate(session, "import time; print('in it', flush=True); time.sleep(600)", wait=0.0)
        await host.until(session, "stream", cursor=cell.cursor)
        assert (await host.ask(hop.Interrupt(caller=ALICE, session=session))).step == "interrupt"
        assert (await host.evaluate(session, "os._exit(1)", wait=BOUND_S)).end == "kernel_died"
        assert await value(host, session, "import os; os.getuid(), open('note').read()") == (own, "1")
        await host.ask(hop.Restart(caller=ALICE, session=session))
        made = "import os; os.makedirs('d/s'); open('d/s/f', 'w').close(); os.chmod('d/s', 0o1000); os.chmod('d', 0)"
        assert await value(host, session, f"{made}; os.getuid()") == own
        workdir = host.state_dir / "workdirs" / stored(host, session)["workdir"]
        assert workdir.stat().st_uid == own
        await host.ask(hop.CloseSession(caller=ALICE, session=session, delete=True))
        assert not workdir.exists()


async def _waiting(host: RealHost) -> int:
    """The user of the kernel that waits in the pool, when there is one."""
    async with asyncio.timeout(BOUND_S):
        while True:
            for path in (host.state_dir / "kernels").iterdir():
                record = read_record(path)
                if record is not None and not record.session and (path / "info.json").exists():
                    return (host.state_dir / "workdirs" / record.kid).stat().st_uid
            await asyncio.sleep(0.05)


async def sessions_of_before(root: Path) -> None:
    """They get a user, and lose it when the settings say so; their files go with them."""
    async with real_host(root, **NO_USERS) as host:
        session = await host.open()
        await value(host, session, f"{ATTEMPT}\nopen('note', 'w').write('1')")
        assert stored(host, session)["uid"] is None
        assert await value(host, session, "os.getuid()") == os.geteuid()
    async with real_host(root) as host:
        again = f"{ATTEMPT}\nos.getuid(), open('note').read()"
        uid, note = await value(host, session, again)
        assert (uid, note) == (stored(host, session)["uid"], "1")
        assert uid != os.geteuid()
        assert owner(host, session) == uid
    for settings in (NO_USERS, {"sandbox__profile": "trusted"}):
        async with real_host(root, **settings) as host:
            assert await value(host, session, again) == (os.geteuid(), "1")
            assert await value(host, session, "powers()") == NONE
            assert owner(host, session) == os.geteuid()
        async with real_host(root) as host:
            assert await value(host, session, again) == (uid, "1")


async def a_service_that_may_no_longer(root: Path) -> None:
    """Kernels are ended, not hung on to; a session whose files are another's says so, others work."""
    async with real_host(root, pool=1) as host:
        session = await host.open()
        await value(host, session, "x = 1")
        await _waiting(host)
        kernel = host.kernel_of(session)
        await host.die()
        await host.start(*WITHOUT)
        said = ""
        try:
            await host.ask(hop.OpenSession(caller=ALICE, session=session, start=True))
        except KernelStartFailed as failed:
            said = failed.stderr
        assert "belongs to user" in said, said
        assert await asyncio.to_thread(kernel.wait, BOUND_S)
        other = await host.open()
        assert await value(host, other, "1 + 1") == 2
        await host.ask(hop.CloseSession(caller=ALICE, session=session, delete=True))
        await host.replace()


async def without_users_no_kernel_has_what_the_service_may(root: Path) -> None:
    for forked in (False, True):
        settings: dict[str, Any] = {**NO_USERS, "sandbox__profile": "none"}
        settings |= {"pool": 1} if forked else {"fork_server": "false"}
        async with real_host(root, **settings) as host:
            if forked:  # those that wait are
                await _waiting(host)
            assert await value(host, await host.open(), f"{ATTEMPT}\npowers()") == NONE


async def the_size_of_their_files_is_known(root: Path) -> None:
    async with real_host(root, limits__workdir_bytes=2 << 20) as host:
        session = await host.open()
        code = "import os, time; os.mkdir('d', 0o700); open('d/f', 'wb').write(os.urandom(3 << 20)); time.sleep(600)"
        cell = await host.evaluate(session, code, wait=BOUND_S)
        assert cell.end == "interrupted", cell


SCENARIOS: dict[str, Callable[[Path], Coroutine[None, None, None]]] = {
    "nobody to each other": partial(nobody_to_each_other, profile="none"),
    "nobody to each other in sandboxes": partial(nobody_to_each_other, profile="strict"),
    "they keep their user": partial(they_keep_their_user, pooled=False),
    "a kernel of the pool brings one": partial(they_keep_their_user, pooled=True),
    "sessions of before": sessions_of_before,
    "the size of their files is known": the_size_of_their_files_is_known,
    "a service that may no longer": a_service_that_may_no_longer,
    "without users no kernel has what the service may": without_users_no_kernel_has_what_the_service_may,
}
OF_ORDINARY_USERS = ("a service that may no longer", "without users no kernel has what the service may")
"""root has all capabilities again after every exec, and its kernels without a sandbox keep them"""


def main() -> None:
    root = Path(sys.argv[1])
    root.mkdir(mode=0o711)
    asyncio.run(SCENARIOS[sys.argv[2]](root))


if __name__ == "__main__":
    main()
