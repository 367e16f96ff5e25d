"""Limits on real kernels: put on in their own process, and named to whoever reaches one."""

import os
import resource
import sys
from ast import literal_eval
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kernel_bridge.kernel_record import read_record
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.sandbox import limits as in_shim
from tests.kernel.house import House, house
from tests.kernel.test_forkserver import forking_house
from tests.kernel.test_shim import Bench, ended

GIB = 1 << 30
READ = """
import resource
def limits():
    return {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in
            ("AS", "CORE", "CPU", "FSIZE", "NOFILE", "NPROC")}
def status():
    return dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
"""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    try:
        yield made
    finally:
        await made.close()


async def value(home: House, session: str, code: str) -> Any:
    cell = await home.evaluate(session, code)
    assert cell.end == "ok", cell.text
    return literal_eval(cell.text)


@pytest.mark.parametrize("forked", [False, True])
async def test_a_kernel_is_limited_and_nothing_else(tmp_path: Path, forked: bool) -> None:
    settings = LimitSettings(address_space_bytes=6 * GIB, file_bytes=1 << 20, open_files=256, cpu_s=1000)
    made = (forking_house if forked else house)(tmp_path, limits=settings)
    async with made as home:
        session = await home.open()
        await home.evaluate(session, READ)
        found = await value(home, session, "limits()")
        assert found["AS"] == (6 * GIB, 6 * GIB)
        assert found["CORE"] == (0, 0)
        assert found["CPU"] == (1000, 1000 + in_shim.CPU_GRACE_S)
        assert found["FSIZE"] == (1 << 20, 1 << 20)
        assert found["NOFILE"] == (256, 256)
        status = await value(home, session, "status()")
        assert status["NoNewPrivs"] == "1"
        assert await value(home, session, "int(open('/proc/self/oom_score_adj').read())") == in_shim.OOM_SCORE

        record = next(filter(None, map(read_record, (home.root / "kernels").iterdir())))
        servers = await home.factory.forks.settled() if home.factory.forks is not None else []
        for pid in (record.shim_pid, *(server.pid for server in servers if server.pid is not None)):
            for name in ("AS", "CORE", "CPU", "FSIZE"):
                ours = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
                assert resource.prlimit(pid, getattr(resource, f"RLIMIT_{name}")) == ours, name

        too_large = await home.evaluate(session, "open('big', 'wb').write(bytes(3 << 20))")
        assert too_large.end == "error"
        assert "File too large" in too_large.text
        notice = await home.until(session, "notice", kind="limit_reached")
        assert (notice.content["limit"], notice.cell) == ("file_bytes", too_large.cell)
        assert (await home.evaluate(session, "'still here'")).text == "'still here'"


async def test_no_limit_is_raised(bench: Bench) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = "import resource; tell(resource.getrlimit(resource.RLIMIT_NOFILE))"
    argv = [sys.executable, "-I", "-S", "-c", bench.mailbox.prelude + code]
    more = 2 * hard if hard != resource.RLIM_INFINITY else resource.RLIM_INFINITY
    await bench.start_launch(msgspec.structs.replace(bench.launch(argv), limits={"nofile": more}))
    assert literal_eval(await bench.mailbox.line()) == (hard, hard)


async def test_a_kernel_that_uses_up_its_processor_time_is_ended_and_says_so(tmp_path: Path) -> None:
    async with house(tmp_path, limits=LimitSettings(cpu_s=4)) as home:
        session = await home.open()
        cell = await home.evaluate(session, "while True: pass", wait=60.0)
        assert cell.end == "kernel_died"
        assert cell.exit is not None
        assert (cell.exit.limit, cell.exit.oom) == ("cpu_s", None)
        [error] = [output for output in cell.outputs if output["output_type"] == "error"]
        assert error["ename"] == "LimitReached"
        assert "bridge.limits.cpu_s" in error["evalue"]
        again = await home.evaluate(session, "1 + 1")
        assert again.text == "2"
        anew = await home.until(session, "notice", kind="kernel_started_anew")
        assert anew.content["exit"]["limit"] == "cpu_s"


async def test_a_limit_that_cannot_be_put_on_stops_the_start(bench: Bench) -> None:
    launch = msgspec.structs.replace(bench.launch(["/bin/true"]), cgroup=(str(bench.path / "none"),))
    process = await bench.start_launch(launch)
    record = await ended(process)
    assert record.code == 127
    assert "cannot limit a kernel" in record.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user")
async def test_a_kernel_of_another_user_has_no_rights_at_all(bench: Bench) -> None:
    for path in (bench.path, *bench.path.parents[:-2]):
        path.chmod(path.stat().st_mode | 0o011)
    asked = bench.launch(["/bin/cat", "/proc/self/status"])
    process = await bench.start_launch(msgspec.structs.replace(asked, uid=54321, limits={"nproc": 7}))
    said = (await ended(process)).stderr
    facts = dict(line.split(":\t", 1) for line in said.splitlines())
    assert facts["Uid"].split() == facts["Gid"].split() == ["54321"] * 4
    assert not facts["Groups"].strip()
    assert {facts[name] for name in ("CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd")} == {"0" * 16}
