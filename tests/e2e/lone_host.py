"""A `kernelwire host` that runs on its own, as a test starts it and ends it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.service import KERNELWIRE, START_S, STOP_S, environment
from tests.e2e.terminal import Output

LINE = "host on "
"""in the line that it says when fronts can connect"""


@dataclass(frozen=True, slots=True)
class LoneHost:
    process: "subprocess.Popen[bytes]"
    output: Output

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL; returns when it has ended."""
        self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def running(state_dir: Path, home: Path, program: str = KERNELWIRE) -> Generator[LoneHost]:
    """Ended after the block as systemd would, unless the test has ended it."""
    ours, theirs = os.pipe()
    output = Output(ours)
    command = [program, "host", "--state-dir", str(state_dir)]
    with contextlib.closing(output):
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL, env=environment(home)
            )
        finally:
            os.close(theirs)
        host = LoneHost(process, output)
        try:
            output.wait_for(LINE, START_S)
            yield host
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(STOP_S) == 0
        finally:
            if process.poll() is None:
                host.kill()
