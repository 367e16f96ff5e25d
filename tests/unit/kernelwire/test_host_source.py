"""Where the host comes from: found, waited for, or started."""

import asyncio
import os
from pathlib import Path
from typing import cast

import msgspec
import pytest

from kernel_bridge.host_file import HOST_FILE, HOST_LOCK, HostFile
from kernel_bridge.host_lock import HostLock
from kernelwire import host_source as module
from kernelwire.child import Child, ChildFailed
from kernelwire.found_host import FoundHost
from kernelwire.host_source import HostSource

BOUND_S = 10.0
STARTED = cast("Child", object())


class Place:
    """A state directory whose host is this very process, or nobody."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.lock = HostLock(state_dir / HOST_LOCK)
        self.launched = 0
        self.source = HostSource(state_dir, self._launch)

    async def _launch(self) -> Child:
        self.launched += 1
        return STARTED

    def take(self) -> None:
        assert self.lock.acquire()

    def say(self, *, owned: bool) -> None:
        (self.state_dir / HOST_FILE).write_bytes(msgspec.json.encode(HostFile(os.getpid(), "1", owned)))

    async def found(self) -> tuple[FoundHost, bool]:
        """The host that runs, and whether it is ours."""
        async with asyncio.timeout(BOUND_S):
            kept = await self.source.obtain()
        kept.close()
        assert isinstance(kept.process, FoundHost)
        return kept.process, kept.ours

    async def started(self) -> bool:
        """Whether one was started, which is ours."""
        async with asyncio.timeout(BOUND_S):
            kept = await self.source.obtain()
        kept.pulse.close()
        assert kept.process is STARTED
        return kept.ours


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    return Place(tmp_path)


async def test_none_runs(place: Place) -> None:
    assert await place.started()


async def test_one_of_an_earlier_serve_is_ours_and_one_on_its_own_is_not(place: Place) -> None:
    place.take()
    for owned in (True, False):
        place.say(owned=owned)
        found, ours = await place.found()
        assert (found.pid, ours) == (os.getpid(), owned)
    assert not place.launched
    place.lock.release()


async def test_one_that_only_just_starts_is_waited_for(place: Place) -> None:
    place.take()
    obtaining = asyncio.create_task(place.found())
    for _ in range(3):
        await asyncio.sleep(0.001)
    assert not obtaining.done()
    place.say(owned=True)
    _, ours = await obtaining
    assert ours
    place.lock.release()


async def test_one_that_never_says_who_it_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNKNOWN_S", 0.02)
    place.take()
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(ChildFailed, match="holds host"):
            await place.source.obtain()
    assert not place.launched
    place.lock.release()


async def test_after_one_on_its_own_its_keeper_has_time_for_the_next(place: Place) -> None:
    place.take()
    place.say(owned=False)
    await place.found()
    place.lock.release()
    obtaining = asyncio.create_task(place.found())
    for _ in range(3):
        await asyncio.sleep(0.001)
    assert not obtaining.done()
    place.take()
    _, ours = await obtaining
    assert not ours
    assert not place.launched
    place.lock.release()


async def test_if_nobody_starts_one_serve_does(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUCCESSOR_S", 0.02)
    place.take()
    place.say(owned=False)
    await place.found()
    place.lock.release()
    assert await place.started()
    assert await place.started()  # and from now on without delay
    assert place.launched == 2
