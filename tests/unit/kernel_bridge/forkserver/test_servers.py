"""Fork servers that cannot start: what becomes of them and of who asks."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from kernel_bridge import pidfd
from kernel_bridge.forkserver.client import ForkServer, ForkServerFailed, PreloadRefused
from kernel_bridge.forkserver.plan import Plan
from kernel_bridge.forkserver.servers import SERVERS, SUSPECTS, ForkServers
from tests.unit.kernel_bridge.forkserver.test_plan import LAUNCH

MUTE = "#!/bin/sh\nexec sleep 600\n"
WORDY = "#!/bin/sh\necho no room left >&2\nexit 3\n"
IMPORTING = """#!/bin/sh
exec python3 -c 'import socket; s = socket.socket(fileno=0); s.recv(99999); s.send(b"{\\"importing\\": \\"numpy\\"}")'
"""


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "python3"
    path.write_text(text)
    path.chmod(0o700)
    return str(path)


def children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "no program"), (WORDY, "no room left"), (MUTE, "not ready within 0.2 s"), (IMPORTING, "numpy")],
)
async def test_a_server_that_does_not_become_ready_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, words: str
) -> None:
    if text == MUTE:
        monkeypatch.setattr("kernel_bridge.forkserver.client.READY_S", 0.2)
    before, opened = children(), set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    name = str(tmp_path / "nowhere") if text is None else program(tmp_path, text)
    server = ForkServer(Plan((name,), tuple({"PATH": os.environ["PATH"]}.items()), ()), (), lambda _: None)
    with pytest.raises(ForkServerFailed, match=words) as failed:
        await server.start()
    assert isinstance(failed.value, PreloadRefused) == (text == IMPORTING)
    await server.close()
    await server.close()
    assert not server.alive
    assert children() == before
    assert set(os.listdir("/proc/self/fd")) == opened  # noqa: PTH208


async def test_nobody_waits_for_a_server_and_a_failed_one_is_not_tried_at_once(tmp_path: Path) -> None:
    launch = replace(LAUNCH, argv=[program(tmp_path, WORDY), *LAUNCH.argv[3:]], env={"PATH": os.environ["PATH"]})
    forks = ForkServers(retry_s=(600.0,))
    try:
        with pytest.raises(ForkServerFailed, match="not ready"):
            await forks.fork(launch, 0, 1)
        for _ in range(2):
            (status,) = await forks.settled()
            assert status.pid is None
            assert "no room left" in status.fault
            forks.prepare(launch)
        (program_file,) = tmp_path.iterdir()
        program_file.unlink()
        forks.prepare(launch)
        (status,) = await forks.settled()
        assert "no room left" in status.fault, "not tried again: the fault would be another one"
    finally:
        await forks.close()
    with pytest.raises(ForkServerFailed, match="no fork server"):
        await forks.fork(launch, 0, 1)


async def test_commands_that_cannot_be_forked_are_refused() -> None:
    forks = ForkServers()
    with pytest.raises(ForkServerFailed, match="no fork server"):
        await forks.fork(replace(LAUNCH, argv=["/bin/sh"]), 0, 1)
    forks.judge(replace(LAUNCH, argv=["/bin/sh"]), forked=True, ready=False)
    assert await forks.settled() == []
    await forks.close()


async def test_plans_and_suspects_are_bounded(tmp_path: Path) -> None:
    forks = ForkServers()
    try:
        for number in range(SERVERS + 2):
            forks.prepare(replace(LAUNCH, argv=[str(tmp_path / str(number)), "-m", "x"], env={}))
            await asyncio.sleep(0)
        assert await forks.settled() == [], "no interpreters, no plans"
        for number in range(SERVERS + 2):
            forks.prepare(replace(LAUNCH, argv=[f"{tmp_path}/python3.{number}", "-m", "x"], env={}))
        assert len(await forks.settled()) == SERVERS
        for number in range(SUSPECTS + 1):
            forks.judge(replace(LAUNCH, session=str(number)), forked=True, ready=False)
        with pytest.raises(ForkServerFailed, match="did not become ready"):
            await forks.fork(replace(LAUNCH, session=str(SUSPECTS)), 0, 1)
        with pytest.raises(ForkServerFailed, match="is not ready"):
            await forks.fork(replace(LAUNCH, session="0"), 0, 1)
    finally:
        await forks.close()


@pytest.mark.parametrize("killed", [True, False])
async def test_only_a_server_that_lives_is_to_blame_for_a_kernel_that_does_not_start(killed: bool) -> None:
    launch = replace(LAUNCH, argv=[sys.executable, *LAUNCH.argv[1:]], env={"PATH": os.environ["PATH"]})
    forks = ForkServers()
    try:
        forks.prepare(launch)
        (status,) = await forks.settled()
        assert status.pid is not None, status.fault
        if killed:
            server = pidfd.open_pid(status.pid)
            assert server is not None
            with os.fdopen(server):
                pidfd.send(server, signal.SIGKILL)
                assert pidfd.has_ended(server, wait_s=10.0)
        forks.judge(launch, forked=True, ready=False)
        with pytest.raises(ForkServerFailed):
            await forks.fork(launch, 0, 1)
        forks.judge(launch, forked=False, ready=True)
        (status,) = await forks.settled()
        assert (status.fault == "a kernel started well only without it") is not killed
    finally:
        await forks.close()
