import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from bench import processes


def test_cpu_time_grows_while_a_process_works() -> None:
    before = processes.cpu_s([os.getpid()])
    while processes.cpu_s([os.getpid()]) - before < 0.02:
        sum(range(10_000))


def test_a_process_that_is_gone_has_no_cpu_time() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        processes.cpu_s([process.pid])


def test_end_reaches_what_a_stubborn_process_started(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    process = processes.spawn([sys.executable, "-c", code], tmp_path, os.environ, stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    descriptor = os.pidfd_open(child)
    try:
        assert processes.descendants(process.pid) == [child]
        processes.end(process, 0.05)
        assert process.returncode == -9
        assert select.select([descriptor], [], [], 10)[0]
    finally:
        os.close(descriptor)
