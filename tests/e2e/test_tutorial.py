"""docs/tutorial.md: its commands, as they stand, print what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import Starter
from tests.e2e.service import environment

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "--8<--"
ANYTHING = "..."


def test_the_commands_print_what_the_tutorial_says(start: Starter, tmp_path: Path) -> None:
    text = TUTORIAL.read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```sh") > 0
    service = start()
    script = f"\necho '{MARK}'\n".join(commands for commands, _ in blocks)
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-uc", script.replace("http://127.0.0.1:8787", service.url)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        cwd=work,
        env=environment(
            tmp_path / "home",
            {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "KERNELWIRE_STATE_DIR": str(service.state_dir),
                "password": service.password,
            },
        ),
    )
    printed = done.stdout.split(f"{MARK}\n")
    assert done.returncode == 0, done.stdout
    for (commands, expected), got in zip(blocks, printed, strict=True):
        assert re.fullmatch(_pattern(expected.strip()), got.strip(), re.DOTALL), f"{commands}\n{got}"
    service.stop()


def _pattern(expected: str) -> str:
    return ".*".join(re.escape(part) for part in expected.split(ANYTHING))
