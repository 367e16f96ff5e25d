"""What a new host makes of the kernels that it finds: real shims, with programs in them that only wait."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest

from kernel_bridge import launch, leftovers
from kernel_bridge.adoption import Departed, Survey, Survivor, survey
from kernel_bridge.connection import Connection
from kernel_bridge.errors import KernelspecNotFound
from kernel_bridge.host_lock import HostLock
from kernel_bridge.kernel_command import Spec
from kernel_bridge.kernel_record import INFO, MAX_BYTES, read_info, write_info
from kernel_bridge.kernelspecs import Kernelspecs
from kernel_bridge.launch import KernelLaunch, KernelProcess
from kernel_bridge.record import SessionRecord

WAIT = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
PYTHON = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
FEATURES = b'{"status":"ok","supported_features":["kernel subshells"]}'


class Specs:
    async def get(self, name: str) -> Spec:
        if name not in ("python3", "other"):
            raise KernelspecNotFound(name, [])
        argv = PYTHON if name == "python3" else ["other", "{connection_file}"]
        return Spec(name, name, "python", argv, {}, "signal", {}, "")


class Place:
    """A state directory with kernels of open sessions `a` and `b`, and of `closed`."""

    def __init__(self, root: Path) -> None:
        self.kernels = root / "kernels"
        self.sockets = root / "sockets"
        self.lock = HostLock(root / "host.lock")
        self._started: list[KernelProcess] = []
        self.sessions = {
            name: SessionRecord(name, "u", "python3", "w", "2026-01-01T00:00:00.000Z", closed=name == "closed")
            for name in ("a", "b", "closed")
        }

    async def start(self, kid: str, session: str = "a", argv: list[str] = WAIT) -> KernelProcess:
        directory = self.kernels / kid
        directory.mkdir(parents=True)
        Connection.create(self.sockets, kid, "python3").write(directory / "connection.json")
        process = await launch.start(
            KernelLaunch(
                argv=argv,
                env=dict(os.environ),
                workdir=str(self.kernels),
                kernel_dir=str(directory),
                kid=kid,
                session=session,
                lock_path=str(self.kernels.parent / "host.lock"),
                orphan_grace_s=60.0,
            )
        )
        self._started.append(process)
        write_info(directory, FEATURES)
        return process

    async def survey(self) -> Survey:
        found = await survey(self.kernels, self.sockets, self.sessions, cast("Kernelspecs", Specs()))
        for one in found.found.values():
            if isinstance(one, Survivor):
                one.process.close()
        return found

    async def close(self) -> None:
        for process in self._started:
            with contextlib.suppress(RuntimeError):
                await process.kill(5.0)
            process.close()
        self.lock.release()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    assert made.lock.acquire()
    try:
        yield made
    finally:
        await made.close()


async def test_a_living_kernel_of_an_open_session(place: Place) -> None:
    process = await place.start("k1")
    found = await place.survey()
    survivor = found.found["a"]
    assert isinstance(survivor, Survivor)
    assert survivor.process.record == process.record
    assert (survivor.info, survivor.hands_over, found.leftovers) == (FEATURES, True, [])
    assert abs(survivor.ready_at.timestamp() - (place.kernels / "k1" / INFO).stat().st_mtime) < 0.001
    assert process.alive  # looking at it does nothing to it


async def test_no_kernels_at_all(place: Place) -> None:
    assert await place.survey() == Survey()


async def test_kernels_of_closed_and_unknown_sessions_are_leftovers(place: Place) -> None:
    await place.start("k1", "closed")
    await place.start("k2", "unknown")
    (place.kernels / "k3").mkdir()
    found = await place.survey()
    assert found.found == {}
    assert sorted(path.name for path in found.leftovers) == ["k1", "k2", "k3"]


async def test_of_two_kernels_the_newest_that_lives(place: Place) -> None:
    await place.start("k1")
    await asyncio.sleep(0.02)  # a tick of the clock that start times are in
    await place.start("k2")
    await asyncio.sleep(0.02)
    dead = await place.start("k3")
    await dead.kill(5.0)
    found = await place.survey()
    assert found.found["a"].directory.name == "k2"
    assert sorted(path.name for path in found.leftovers) == ["k1", "k3"]


@pytest.mark.parametrize("was_ready", [True, False])
async def test_a_kernel_that_has_ended(place: Place, *, was_ready: bool) -> None:
    process = await place.start("k1", argv=[sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"])
    await process.wait()
    if not was_ready:
        (place.kernels / "k1" / INFO).unlink()
    departed = (await place.survey()).found["a"]
    assert isinstance(departed, Departed)
    assert (departed.exit.code, departed.was_ready) == (7, was_ready)


def elsewhere(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"sockets", b"elsewhere"))


def other_kernel(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"sockets/k1", b"sockets/k2"))


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


def too_long(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_BYTES + 1))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [Path.unlink, fifo, elsewhere, other_kernel, deep])
async def test_a_connection_file_that_is_not_ours(place: Place, damage: Callable[[Path], object]) -> None:
    await place.start("k1")
    damage(place.kernels / "k1" / "connection.json")
    assert isinstance((await place.survey()).found["a"], Departed)


async def test_a_kernelspec_that_is_gone(place: Place) -> None:
    place.sessions["a"] = SessionRecord("a", "u", "gone", "w", "2026-01-01T00:00:00.000Z")
    await place.start("k1")
    assert isinstance((await place.survey()).found["a"], Departed)


async def test_a_record_that_names_another_kernel(place: Place) -> None:
    await place.start("k1")
    (place.kernels / "k1").rename(place.kernels / "k2")
    found = await place.survey()
    assert (found.found, [path.name for path in found.leftovers]) == ({}, ["k2"])


@pytest.mark.parametrize("damage", [Path.unlink, fifo, too_long])
async def test_without_a_readable_answer_it_is_not_known_to_be_ready(
    place: Place, damage: Callable[[Path], object]
) -> None:
    await place.start("k1")
    damage(place.kernels / "k1" / INFO)
    survivor = (await place.survey()).found["a"]
    assert isinstance(survivor, Survivor)
    assert survivor.info is None
    assert survivor.hands_over  # by its kernelspec: our launcher runs ipykernel


async def test_which_kernels_hand_over(place: Place) -> None:
    place.sessions["a"] = SessionRecord("a", "u", "other", "w", "2026-01-01T00:00:00.000Z")
    await place.start("k1")
    survivor = (await place.survey()).found["a"]
    assert isinstance(survivor, Survivor)
    assert survivor.hands_over  # it says that it is built on ipykernel
    write_info(place.kernels / "k1", b'{"status":"ok"}')
    survivor = (await place.survey()).found["a"]
    assert isinstance(survivor, Survivor)
    assert not survivor.hands_over


def test_an_answer_that_is_far_too_long_is_kept_as_an_empty_one(tmp_path: Path) -> None:
    write_info(tmp_path, b'"' + b"x" * MAX_BYTES + b'"')
    assert read_info(tmp_path) == b"{}"


async def test_leftovers_end_with_their_sockets_while_the_host_serves(place: Place) -> None:
    process = await place.start("k1", "closed")
    place.sockets.mkdir()
    for name in ("k1", "k2"):
        (place.sockets / name).mkdir()
        (place.sockets / name / "s-1").touch()
    ending = leftovers.Leftovers(place.sockets)
    ending.end((await place.survey()).leftovers)
    assert process.alive
    await ending.close()
    assert not process.alive
    assert [path.name for path in place.sockets.iterdir()] == ["k2"]
    assert not leftovers.exist(place.kernels)
