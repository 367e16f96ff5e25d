"""Kernels in cgroups of this machine, where there are any: what ends at a limit, and what is left afterwards."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from kernel_bridge import cgroup_places
from kernel_bridge.cgroup_places import NoCgroups, Places
from tests.kernel.real_host import RealHost, real_host

LIMIT = 256 << 20
BOUND_S = 20.0
SHIM_AND_KERNEL = (signal.SIGKILL, signal.SIGKILL)


def places() -> Places | None:
    try:
        return cgroup_places.find("auto")
    except NoCgroups:
        return None


PLACES = places()
pytestmark = pytest.mark.skipif(
    PLACES is None or not {"memory", "pids"} <= PLACES.parents.keys() or PLACES.version == 2,
    reason="needs cgroups for memory and pids that tests may make without moving the tests themselves",
)


def bases(host: RealHost) -> list[Path]:
    assert PLACES is not None
    name = "kernelwire-" + (host.state_dir / "host-id").read_text()
    return [parent / name for parent in set(PLACES.parents.values())]


def cgroups(host: RealHost) -> set[str]:
    return {path.name for base in bases(host) if base.is_dir() for path in base.iterdir() if path.is_dir()}


async def gone(host: RealHost) -> None:
    """Return when no cgroup of a kernel is left."""
    async with asyncio.timeout(BOUND_S):
        while cgroups(host):  # noqa: ASYNC110  the system's own directory
            await asyncio.sleep(0.02)


async def test_memory_ends_at_its_limit_and_the_cell_says_so(tmp_path: Path) -> None:
    async with real_host(tmp_path, limits__memory_bytes=LIMIT) as host:
        session, other = await host.open(), await host.open()
        assert (await host.evaluate(other, "x = 1")).end == "ok"
        await host.evaluate(session, "kept = bytearray(1)")
        assert len(cgroups(host)) == 2
        cell = await host.evaluate(session, "kept = [bytearray(16 << 20) for _ in range(64)]", wait=60.0)
        assert cell.end == "kernel_died"
        assert cell.exit is not None
        assert (cell.exit.signal, cell.exit.oom, cell.exit.limit) == (signal.SIGKILL, True, "memory_bytes")
        assert str(LIMIT) in cell.text
        assert "bridge.limits.memory_bytes" in cell.text
        assert (await host.evaluate(other, "x")).text == "1"

        again = await host.evaluate(session, "import os; os._exit(3)")
        assert again.exit is not None
        assert (again.exit.code, again.exit.oom, again.exit.limit) == (3, False, None)
    assert not any(base.exists() for base in bases(host))


async def test_processes_end_at_their_limit_and_the_kernel_goes_on(tmp_path: Path) -> None:
    async with real_host(tmp_path, limits__processes=40) as host:
        session = await host.open()
        code = (
            "import os, time\nfor _ in range(100):\n"
            "    if not os.fork():\n        time.sleep(60); os._exit(0)\n"
        )  # fmt: skip
        cell = await host.evaluate(session, code)
        assert cell.end == "error"
        assert "BlockingIOError" in cell.text
        notice = await host.until(session, "notice", kind="limit_reached")
        assert notice.content["limit"] == "processes"
        assert "40" in notice.content["message"]


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_what_a_dead_host_and_a_dead_shim_leave_is_removed(tmp_path: Path) -> None:
    async with real_host(tmp_path) as host:
        session = await host.open()
        # in a session and group of its own: nothing but its cgroup says whose it is
        await host.evaluate(
            session, "import subprocess; p = subprocess.Popen(['sleep', '300'], start_new_session=True)"
        )
        record = host.kernel_record()
        (pid,) = children_of(record.pid)
        await host.die()
        for victim, number in zip((record.shim_pid, record.pid), SHIM_AND_KERNEL, strict=True):
            try:
                os.kill(victim, number)
            except ProcessLookupError:
                continue  # it died with its shim
        assert len(cgroups(host)) == 1
        await host.start()
        await gone(host)
        assert not Path(f"/proc/{pid}").exists()


async def test_an_adopted_kernel_keeps_its_cgroup(tmp_path: Path) -> None:
    async with real_host(tmp_path, limits__memory_bytes=LIMIT) as host:
        session = await host.open()
        await host.evaluate(session, "x = 41")
        before = cgroups(host)
        await host.replace()
        assert (await host.evaluate(session, "x + 1")).text == "42"
        assert cgroups(host) == before
        cell = await host.evaluate(session, "kept = [bytearray(16 << 20) for _ in range(64)]", wait=60.0)
        assert cell.exit is not None
        assert cell.exit.limit == "memory_bytes"
