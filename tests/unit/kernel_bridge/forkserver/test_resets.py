"""What a forked kernel gets back, where no process is needed to see it."""

import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge.forkserver import command_line, memory, preloads, resets, thread_pools

PROCESS: Any = import_module("multiprocessing.process")


def test_a_kernels_environment_is_what_was_asked_and_what_a_start_would_have_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"GIVEN": "1", "DROPPED": "1", "WRAPPED": "old", "SEEN": "YES"}
    for name, text in {**given, "WRAPPED": "new"}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("DROPPED")
    before = resets.Before(given)
    seen = dict(os.environ)
    monkeypatch.setenv("SEEN", "NO")
    monkeypatch.setenv("BY_IMPORT", "1")
    monkeypatch.setenv("PRIVATE", "import's")
    before.see_imports(seen)
    asked = {"GIVEN": "2", "DROPPED": "1", "WRAPPED": "old", "SEEN": "YES", "PRIVATE": "mine", "é": "\udcff"}
    made = before.environment({os.fsencode(name): os.fsencode(text) for name, text in asked.items()})
    expected = {"GIVEN": "2", "WRAPPED": "new", "SEEN": "NO", "PRIVATE": "mine", "BY_IMPORT": "1", "é": "\udcff"}
    assert expected.items() <= made.items()
    assert "DROPPED" not in made


def test_shared_state_is_not_shared_any_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    random.seed(1)
    first = random.random()  # noqa: S311
    key = bytes(multiprocessing.current_process().authkey)
    directory = tempfile.gettempdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", directory)
    monkeypatch.setattr(PROCESS, "ORIGINAL_DIR", "/nowhere")
    random.seed(1)
    resets.reset_modules()
    assert random.random() != first  # noqa: S311
    assert bytes(multiprocessing.current_process().authkey) != key
    assert tempfile.gettempdir() == str(tmp_path)
    assert str(Path.cwd()) == PROCESS.ORIGINAL_DIR


def test_a_module_that_cannot_be_reset_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy.random", object())  # pyright: ignore[reportArgumentType]
    with pytest.raises(AttributeError):
        resets.reset_modules()


def test_a_command_line_is_written_over_and_cut_to_its_room() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(command_line.__file__).parent)!r})\n"
        "import command_line, os\nfor words in ([b'one', b'two'], [b'x' * 9999]):\n"
        "    command_line.write(words); print([len(word) for word in command_line.read()])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code, "-" * 200], capture_output=True, text=True, check=True)
    short, long = done.stdout.splitlines()
    assert short == "[3, 3]"
    assert 200 < int(long[1:-1]) < 2000


def test_modules_by_profile_and_by_name() -> None:
    found = dict(preloads.modules(["scientific", "numpy", "mine"]))
    assert found["ipykernel.kernelapp"] is False
    assert (found["sympy"], found["numpy"], found["mine"]) == (False, True, True)
    assert len(preloads.IPYTHON) == len(set(preloads.IPYTHON))


def test_gaps_are_filled_within_bounds_and_modules_are_known_by_their_files() -> None:
    filling = memory.fill_gaps()
    assert 32 <= len(filling) <= 32 * memory.GAPS_MAX
    light = memory.LightSys()
    assert light.modules["random"].__file__ == random.__file__
    assert light.version == sys.version


def test_a_pool_of_threads_gets_the_size_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[int] = []
    pools = thread_pools.ThreadPools()
    pools._found = [(got.append, ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))]  # pyright: ignore[reportPrivateUsage]

    def eight(_: int) -> range:
        return range(8)

    monkeypatch.setattr(os, "sched_getaffinity", eight)
    for openblas, omp in (("", ""), ("", "3"), ("2", "3"), ("none", "99")):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", openblas)
        monkeypatch.setenv("OMP_NUM_THREADS", omp)
        pools.give_back()
    assert got == [8, 3, 2, 8]
