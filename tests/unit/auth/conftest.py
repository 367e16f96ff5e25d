"""Fixtures of the auth tests: a database with its schema, a clock that only the test moves."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from auth.database import Database, default_url


@dataclass(slots=True)
class FakeClock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Not there yet; a name that URLs and ConfigParser would misread."""
    return tmp_path / "st%20 ?#ä&te"


@pytest.fixture
def database(state_dir: Path) -> Iterator[Database]:
    state_dir.mkdir(mode=0o700)
    database = Database(default_url(state_dir))
    database.upgrade()
    yield database
    database.close()


AtOnce = Callable[[str, Path], list[str]]


@pytest.fixture
def at_once() -> AtOnce:
    """Runs code, with `state_dir` in it, in three processes that wait for each other; what each of them printed."""

    def run(code: str, state_dir: Path) -> list[str]:
        lines = ["import sys", "from pathlib import Path", "state_dir = Path(sys.argv[1])", *code.splitlines()]
        # what the code imports comes before the gate, what it does after it
        imports = [line for line in lines if line.startswith(("import ", "from "))]
        rest = [line for line in lines if line not in imports]
        program = "\n".join([*imports, "print('ready', flush=True)", "sys.stdin.readline()", *rest])
        processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", program, str(state_dir)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=60) for process in processes]
        assert [error for _, error in ended] == [""] * 3
        return [output.strip() for output, _ in ended]

    return run
