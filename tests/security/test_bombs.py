"""Cells that take all they can get: each ends with the limit named, and the others go on. Times are the bench's."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.bombs import BOMBS, SETTINGS
from kernel_bridge import cgroup_places, results
from kernel_bridge.cgroup_places import NoCgroups, Places
from tests.kernel.real_host import RealHost, real_host

LIMITS: dict[str, Any] = {
    key.removeprefix("bridge.").replace(".", "__"): int(value) if value.isdigit() else float(value)
    for key, value in SETTINGS.items()
}


def _places() -> Places | None:
    try:
        places = cgroup_places.find("auto")
    except NoCgroups:
        return None
    return places if {"memory", "pids"} <= places.parents.keys() and places.version == 1 else None


PLACES = _places()


def pids_max(pid: int) -> str:
    """How many processes the cgroup of a process may have, as the system says."""
    own = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    assert PLACES is not None
    name = re.sub(r".*(/kernelwire-.*)", r"\1", own["pids"])
    return (Path(f"{PLACES.parents['pids']}{name}") / "pids.max").read_text().strip()


@asynccontextmanager
async def two_sessions(root: Path) -> AsyncGenerator[tuple[RealHost, str, str]]:
    async with real_host(root, **LIMITS) as host:
        session, other = await host.open(), await host.open()
        for one in (session, other):
            assert (await host.evaluate(one, "x = 41", wait=60.0)).end == "ok"
        yield host, session, other


async def throw(host: RealHost, session: str, other: str, name: str) -> results.Cell:
    """Run a bomb, and meanwhile the neighbour."""
    bombing = asyncio.create_task(host.evaluate(session, BOMBS[name].code, wait=60.0))
    beside = 0
    while not bombing.done():
        assert (await host.evaluate(other, "print(x + 1)", wait=30.0)).text == "42\n"
        beside += 1
    assert beside > 0
    return bombing.result()


@pytest.mark.parametrize("name", list(BOMBS))
async def test_a_bomb_ends_with_its_limit_named_and_the_others_go_on(tmp_path: Path, name: str) -> None:
    bomb = BOMBS[name]
    if bomb.needs and PLACES is None:
        pytest.skip(f"no cgroup here stands behind bridge.limits.{bomb.needs}: this bomb is not thrown")
    async with two_sessions(tmp_path) as (host, session, other):
        if bomb.needs == "processes":
            assert pids_max(host.record(session).pid) == SETTINGS["bridge.limits.processes"]
        cell = await throw(host, session, other, name)
        assert cell.end == bomb.end, cell.text[-2000:]
        if cell.exit is not None:
            assert cell.exit.limit == bomb.limit
            assert f"bridge.limits.{bomb.limit}" in cell.text
        elif bomb.limit:
            notice = await host.until(session, "notice", kind="limit_reached", limit=bomb.limit)
            assert f"bridge.limits.{bomb.limit}" in notice.content["message"]
        assert (await host.evaluate(other, "x + 1")).text == "42"
        again = await host.evaluate(session, "1 + 1", wait=60.0)
        assert again.text == "2"


async def test_a_flood_of_output_is_bounded(tmp_path: Path) -> None:
    async with two_sessions(tmp_path) as (host, session, other):
        cell = await throw(host, session, other, "output")
        assert cell.outputs_truncated is not None
        stored = sum(path.stat().st_size for path in (host.state_dir / "sessions" / session).glob("events-*"))
        assert stored <= 3 * int(SETTINGS["bridge.retention_bytes"])
