"""Cgroups for kernels, in a directory that behaves like their file system."""

import errno
from pathlib import Path

import pytest

from kernel_bridge import cgroup_places
from kernel_bridge.cgroup_places import NoCgroups
from kernel_bridge.cgroups import Cgroups, open_cgroups, remove_left
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.sandbox import limits as in_shim
from tests.unit.kernel_bridge.fake_cgroupfs import FakeCgroupfs

SETTINGS = LimitSettings(memory_bytes=1 << 30, processes=64, cpus=1.5)
OWNER = 4_100_000
"""no pid of this machine"""


@pytest.fixture
def fs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCgroupfs:
    return FakeCgroupfs(tmp_path, monkeypatch)


def opened(fs: FakeCgroupfs, setting: str = "auto") -> Cgroups:
    return open_cgroups(setting, "hosthost", OWNER, fs.system)


def test_a_cgroup_has_the_limits_of_the_settings(fs: FakeCgroupfs) -> None:
    cgroups = opened(fs)
    assert (cgroups.version, cgroups.controllers) == (2, {"memory", "pids", "cpu"})
    [directory] = cgroups.create("kid", SETTINGS)
    made = fs.root / "kernelwire-hosthost" / "kid"
    assert Path(directory) == made
    assert (made / "memory.max").read_text() == str(1 << 30)
    assert (made / "pids.max").read_text() == "64"
    assert (made / "cpu.max").read_text() == "150000 100000"
    cgroups.leave("kid")
    assert not made.exists()
    cgroups.close()
    assert not made.parent.exists()


def test_without_limits_nothing_is_written(fs: FakeCgroupfs) -> None:
    [directory] = opened(fs).create("kid", LimitSettings(processes=None))
    assert [(Path(directory) / name).read_text() for name in ("memory.max", "pids.max", "cpu.max")] == ["", "", ""]


def test_version_1_has_a_directory_for_each_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = FakeCgroupfs(tmp_path, monkeypatch, version=1)
    (fs.root / "memory" / "service").mkdir()
    for controller in ("pids", "cpu"):
        (fs.root / controller / "service").mkdir()
    fs.stand("/service")
    cgroups = opened(fs)
    made = [Path(directory) for directory in cgroups.create("kid", SETTINGS)]
    assert sorted(made) == [fs.root / name / "service/kernelwire-hosthost/kid" for name in ("cpu", "memory", "pids")]
    cpu, memory, pids = sorted(made)
    assert (memory / "memory.limit_in_bytes").read_text() == str(1 << 30)
    assert (pids / "pids.max").read_text() == "64"
    assert ((cpu / "cpu.cfs_quota_us").read_text(), (cpu / "cpu.cfs_period_us").read_text()) == ("150000", "100000")
    cgroups.leave("kid")
    assert not any(directory.exists() for directory in made)


def test_a_service_moves_into_a_leaf_of_its_own_cgroup(fs: FakeCgroupfs) -> None:
    unit = fs.root / "kernelwire.service"
    unit.mkdir()
    (fs.root / "cgroup.subtree_control").write_text("+memory")
    (fs.root / "cgroup.subtree_control").write_text("+pids")
    (unit / "cgroup.controllers").write_text("memory pids")
    fs.stand("/kernelwire.service")
    fs.run(OWNER, 1, unit)
    fs.run(OWNER + 1, OWNER, unit)
    fs.run(OWNER + 2, OWNER + 1, unit)
    cgroups = opened(fs)
    assert cgroups.controllers == {"memory", "pids"}
    assert (unit / "service" / "cgroup.procs").read_text().split() == [str(OWNER + n) for n in range(3)]
    assert (unit / "cgroup.procs").read_text() == ""
    [directory] = cgroups.create("kid", SETTINGS)
    assert Path(directory).parent.parent == unit

    fs.stand("/kernelwire.service/service")  # the next host of the same service begins there
    assert open_cgroups("auto", "hosthost", OWNER, fs.system).controllers == {"memory", "pids"}


def test_a_cgroup_with_other_programs_is_left_alone(fs: FakeCgroupfs) -> None:
    scope = fs.root / "session.scope"
    scope.mkdir()
    (scope / "cgroup.controllers").write_text("memory")
    fs.stand("/session.scope")
    fs.run(OWNER, 1, scope)
    fs.run(OWNER + 7, 1, scope)
    with pytest.raises(NoCgroups, match="other programs"):
        opened(fs)
    assert not (scope / "service").exists()


def test_a_path_that_was_named(fs: FakeCgroupfs, tmp_path: Path) -> None:
    ours = fs.root / "ours"
    (fs.root / "cgroup.subtree_control").write_text("+memory")
    ours.mkdir()
    cgroups = opened(fs, str(ours))
    assert cgroups.controllers == {"memory"}
    with pytest.raises(NoCgroups, match="version 2"):
        opened(fs, str(tmp_path))
    with pytest.raises(NoCgroups, match="off"):
        opened(fs, "off")


def test_none_where_there_are_no_controllers(fs: FakeCgroupfs) -> None:
    (fs.root / "cgroup.controllers").write_text("")
    with pytest.raises(NoCgroups, match="no cgroup file system"):
        opened(fs)


def test_none_where_proc_is_odd(fs: FakeCgroupfs) -> None:
    (fs.system.proc / "self" / "cgroup").write_text("nonsense")
    with pytest.raises(NoCgroups, match="/proc"):
        opened(fs)


def test_a_mount_that_shows_a_part_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container without a namespace for cgroups, what is mounted begins at the container's own."""
    fs = FakeCgroupfs(tmp_path, monkeypatch)
    mountinfo = fs.system.proc / "self" / "mountinfo"
    mountinfo.write_text(mountinfo.read_text().replace("0:26 /", "0:26 /docker/1"))
    (fs.system.proc / "self" / "cgroup").write_text("0::/docker/1")
    assert set(cgroup_places.find("auto", fs.system).parents.values()) == {fs.root}
    (fs.system.proc / "self" / "cgroup").write_text("0::/elsewhere")
    with pytest.raises(NoCgroups):
        cgroup_places.find("auto", fs.system)


def test_what_a_killed_host_left_is_removed_and_nothing_else(fs: FakeCgroupfs) -> None:
    remove_left("auto", "hosthost", fs.system)
    remove_left("off", "hosthost", fs.system)
    [directory] = opened(fs).create("kid", SETTINGS)
    [others] = open_cgroups("auto", "another1", OWNER, fs.system).create("kid", SETTINGS)
    remove_left("auto", "hosthost", fs.system)
    assert not Path(directory).parent.exists()
    assert Path(others).exists()


def test_what_cannot_be_removed_is_tried_again(fs: FakeCgroupfs) -> None:
    cgroups = opened(fs)
    [directory] = cgroups.create("kid", SETTINGS)
    fs.run(OWNER, 1, Path(directory))
    cgroups.leave("kid")
    assert (Path(directory) / "cgroup.kill").read_text() == "1"
    (Path(directory) / "cgroup.procs").write_text(str(OWNER))
    assert Path(directory).exists()
    Path(directory, "cgroup.procs").unlink()
    Path(directory, "cgroup.procs").touch()
    cgroups.tend()
    assert not Path(directory).exists()


def test_a_new_host_sweeps_all_but_living_kernels(fs: FakeCgroupfs) -> None:
    before = opened(fs)
    for kid in ("lives", "left"):
        before.create(kid, SETTINGS)
    after = opened(fs)
    after.sweep(["lives"])
    assert [path.name for path in (fs.root / "kernelwire-hosthost").iterdir() if path.is_dir()] == ["lives"]


def test_half_a_cgroup_is_none(fs: FakeCgroupfs, monkeypatch: pytest.MonkeyPatch) -> None:
    cgroups = opened(fs)

    def refuse(path: str, text: bytes) -> None:
        raise OSError(errno.EINVAL, "too much")

    monkeypatch.setattr(in_shim, "write", refuse)
    with pytest.raises(OSError, match="too much"):
        cgroups.create("kid", SETTINGS)
    assert not (fs.root / "kernelwire-hosthost" / "kid").exists()


@pytest.mark.parametrize("name", ["memory.events", "memory.oom_control"])
def test_the_shim_reads_whether_memory_ran_out(tmp_path: Path, name: str) -> None:
    assert in_shim.ran_out([str(tmp_path)]) is None
    (tmp_path / name).write_text("under_oom 0\noom_kill 0\n")
    assert in_shim.ran_out(["/nowhere", str(tmp_path)]) is False
    (tmp_path / name).write_text("oom 3\noom_kill 2\n")
    assert in_shim.ran_out([str(tmp_path)]) is True
    assert in_shim.ran_out([]) is None


def test_the_shim_gives_up_on_what_stays(fs: FakeCgroupfs, monkeypatch: pytest.MonkeyPatch) -> None:
    [directory] = opened(fs).create("kid", SETTINGS)
    fs.run(OWNER, 1, Path(directory))
    monkeypatch.setattr(in_shim, "REMOVE_S", 0.0)
    assert not in_shim.end([directory])
    assert in_shim.end([str(fs.root / "none")])
