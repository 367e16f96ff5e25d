"""Which limits a launch gets, and what is said of those that were reached."""

import signal

import pytest

from kernel_bridge import limits
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.results import Exit
from kernel_bridge.sandbox import limits as in_shim

GIB = 1 << 30
NO_CGROUP: frozenset[str] = frozenset()
MEMORY = frozenset({"memory"})


def for_launch(settings: LimitSettings, by_cgroup: frozenset[str] = NO_CGROUP, *, own: bool = False) -> dict[str, int]:
    return limits.for_launch(settings, by_cgroup=by_cgroup, counts_processes=own)


def test_every_name_is_one_that_the_shim_knows() -> None:
    most = LimitSettings(memory_bytes=GIB, cpu_s=1, file_bytes=1 << 20, address_space_bytes=4 * GIB)
    known = {name.decode() for name in (*in_shim.RLIMITS, in_shim.PROCESSES, in_shim.MEMORY)}
    assert set(for_launch(most, MEMORY, own=True)) == known


def test_defaults_limit_what_costs_nobody_anything() -> None:
    assert for_launch(LimitSettings()) == {"core": 0, "nofile": 4096}


def test_processes_are_counted_where_they_are_the_kernels_own() -> None:
    assert for_launch(LimitSettings(processes=64), own=True)["nproc"] == 64
    assert "nproc" not in for_launch(LimitSettings(processes=64))


@pytest.mark.parametrize(
    ("memory", "space", "by_cgroup", "expected"),
    [
        (None, None, NO_CGROUP, None),
        (3 * GIB, None, NO_CGROUP, 3 * GIB),
        (GIB, None, NO_CGROUP, 2 * GIB),  # less would break kernels
        (3 * GIB, 4 * GIB, NO_CGROUP, 3 * GIB),
        (5 * GIB, 4 * GIB, NO_CGROUP, 4 * GIB),
        (GIB, None, MEMORY, None),
        (GIB, 4 * GIB, MEMORY, 4 * GIB),
    ],
)
def test_address_space_stands_in_for_memory_without_a_cgroup(
    memory: int | None, space: int | None, by_cgroup: frozenset[str], expected: int | None
) -> None:
    assert for_launch(LimitSettings(memory_bytes=memory, address_space_bytes=space), by_cgroup).get("as") == expected


@pytest.mark.parametrize(
    ("number", "oom", "expected"),
    [
        (signal.SIGKILL, True, "memory_bytes"),
        (signal.SIGKILL, False, None),
        (signal.SIGKILL, None, None),
        (signal.SIGXCPU, None, "cpu_s"),
        (signal.SIGXFSZ, False, "file_bytes"),
        (0, False, None),
    ],
)
def test_the_shim_names_the_limit(number: int, oom: bool | None, expected: str | None) -> None:
    all_of_them = {b"memory": GIB, b"cpu": 1, b"fsize": 1}
    assert in_shim.reached(all_of_them, number, oom) == expected
    assert in_shim.reached({}, number, oom) is None  # sent by somebody else


def test_words_for_a_kernel_that_a_limit_ended() -> None:
    settings = LimitSettings(memory_bytes=GIB)
    words = limits.ended_by(Exit(None, 9, True, "memory_bytes"), settings)
    assert words is not None
    assert "bridge.limits.memory_bytes" in words
    assert str(GIB) in words
    assert "machine" in (limits.ended_by(Exit(None, 9, True), settings) or "")
    assert limits.ended_by(Exit(None, 9), settings) is None
    assert limits.ended_by(Exit(None, 9, None, "of_a_later_version"), settings) is not None


@pytest.mark.parametrize(
    ("ename", "evalue", "expected"),
    [
        ("MemoryError", "", "memory_bytes"),
        ("OSError", "[Errno 24] Too many open files: '/dev/null'", "open_files"),
        ("OSError", "[Errno 27] File too large", "file_bytes"),
        ("BlockingIOError", "[Errno 11] Resource temporarily unavailable", "processes"),
        ("OSError", "[Errno 11] Resource temporarily unavailable", None),
        ("RuntimeError", "can't start new thread", "processes"),
        ("FileNotFoundError", "[Errno 2] No such file or directory", None),
        ("OSError", "[Errno 99999999999999999999999]", None),
        ("ValueError", "", None),
    ],
)
def test_errors_that_come_from_a_limit(ename: str, evalue: str, expected: str | None) -> None:
    settings = LimitSettings(memory_bytes=GIB, file_bytes=1 << 20)
    assert limits.reached(ename, evalue, settings) == expected


def test_an_error_is_no_hint_where_there_is_no_limit() -> None:
    assert limits.reached("MemoryError", "", LimitSettings()) is None
    assert limits.reached("OSError", "[Errno 12] Cannot allocate memory", LimitSettings(address_space_bytes=4 * GIB))
