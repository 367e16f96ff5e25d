"""What the host writes the shim reads, and the other way round. Nothing is started here."""

import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_bridge import launch, pidfd, shim
from kernel_bridge.host_lock import HostLock
from kernel_bridge.kernel_record import ExitRecord, KernelRecord, read_exit, read_record
from kernel_bridge.results import Exit

no_nul = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def a_launch(argv: list[str], env: dict[str, str]) -> launch.KernelLaunch:
    return launch.KernelLaunch(
        argv=argv,
        env=env,
        workdir="/work",
        kernel_dir="/kernels/k",
        kid="k",
        session="s",
        lock_path="/host.lock",
        orphan_grace_s=1.5,
    )


def as_the_shim_reads_it(asked: launch.KernelLaunch) -> shim.Launch:
    fd = launch._memory_file(b"".join(launch._fields(asked)))  # pyright: ignore[reportPrivateUsage]
    with os.fdopen(fd, "rb") as file:
        return shim.Launch(file.read())


@given(st.lists(no_nul, min_size=1), st.dictionaries(no_nul.filter(lambda name: "=" not in name), no_nul))
def test_the_shim_reads_what_the_host_writes(argv: list[str], env: dict[str, str]) -> None:
    read = as_the_shim_reads_it(a_launch(argv, env))
    assert [os.fsdecode(arg) for arg in read.argv] == argv
    assert {os.fsdecode(name): os.fsdecode(value) for name, value in read.env.items()} == env
    assert (read.kid, read.session, read.workdir) == (b"k", b"s", b"/work")
    assert (read.kernel_dir, read.lock_path, read.orphan_grace_s) == ("/kernels/k", "/host.lock", 1.5)


@pytest.mark.parametrize("asked", [a_launch(["a\0b"], {}), a_launch(["a"], {"N": "\0"})])
def test_a_nul_byte_is_refused(asked: launch.KernelLaunch) -> None:
    with pytest.raises(ValueError, match="NUL"):
        as_the_shim_reads_it(asked)


@given(st.binary(max_size=200))
def test_whatever_bytes_a_kernel_has_are_json(data: bytes) -> None:
    assert msgspec.json.decode(shim.quote(data).encode()) == data.decode(errors="replace")


@given(st.binary(max_size=80), st.integers(0, 3))
def test_last_lines_are_short_and_valid(seed: bytes, scale: int) -> None:
    output = seed * (400 * scale) + seed
    lines = shim.last_lines(output)
    assert len(lines) <= shim.STDERR_BYTES
    assert output.decode(errors="replace").endswith(lines.decode())


def test_last_lines_begin_with_a_line() -> None:
    output = b"".join(b"line %d\n" % number for number in range(5000))
    lines = shim.last_lines(output)
    assert lines.startswith(b"line ")
    assert lines.endswith(b"line 4999\n")
    assert len(lines) > shim.STDERR_BYTES - 20


def test_one_endless_line_keeps_its_end() -> None:
    assert shim.last_lines("€".encode() * 10_000).decode() == "€" * (shim.STDERR_BYTES // 3)


def test_a_file_is_written_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    shim.write_file(str(path), "old")
    shim.write_file(str(path), "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="No such file"):
        shim.write_file(str(tmp_path / "nowhere" / "x"), "")


def test_an_orphan_is_who_had_no_host_for_the_whole_grace(tmp_path: Path) -> None:
    lock = HostLock(tmp_path / "host.lock")
    watch = shim.HostWatch(str(tmp_path / "host.lock"), 8.0)
    assert not watch.orphaned(100.0), "no file: counted from here"
    assert not watch.orphaned(107.9)
    assert lock.acquire()
    assert not watch.orphaned(110.0), "held"
    lock.release()
    assert not watch.orphaned(1000.0), "a late first look says nothing about the time before"
    assert watch.next_check == 1002.0
    assert not watch.orphaned(1001.0), "not asked"
    assert not watch.orphaned(1007.9)
    assert watch.orphaned(1010.0)


def test_who_cannot_ask_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    watch = shim.HostWatch(str(tmp_path / "loop"), 1.0)
    assert not watch.orphaned(0.0)
    assert not watch.orphaned(100.0)


def test_records_are_read_or_are_none(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    assert read_exit(tmp_path / "nowhere") is None
    record = KernelRecord("k", "s", 1, 2, 3, ["a"])
    (tmp_path / "kernel.json").write_bytes(msgspec.json.encode(record))
    assert read_record(tmp_path) == record
    (tmp_path / "exit.json").write_text('{"v": 2, "code": null, "signal": 9, "oom": true, "stderr": "", "later": 1}')
    read = read_exit(tmp_path)
    assert read == ExitRecord(signal=9, oom=True, v=2)
    assert read is not None
    assert read.exit == Exit(None, 9, True)
    (tmp_path / "exit.json").write_text('{"v": 1, "co')
    assert read_exit(tmp_path) is None


def test_a_process_is_held_only_by_number_and_start() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            start_time = int(shim.stat_fields(process.pid)[19])
            assert shim.parent_of(process.pid) == os.getpid()
            assert process.pid in shim.children()
            assert pidfd.open_started(process.pid, start_time + 1) is None
            fd = pidfd.open_started(process.pid, start_time)
            assert fd is not None
            try:
                assert not pidfd.has_ended(fd)
                assert pidfd.send(fd, 9)
                assert pidfd.has_ended(fd, wait_s=10.0)
                assert not pidfd.send_group(fd, process.pid, 0)
                pidfd.reap(fd)
                pidfd.reap(fd)
                assert not pidfd.send(fd, 0)
            finally:
                os.close(fd)
        finally:
            process.kill()
    assert pidfd.open_started(process.pid, start_time) is None
