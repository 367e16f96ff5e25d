"""Programs that are started without standard input, output or error."""

import os
import subprocess
import sys

import pytest

_SAYS_WHAT_IS_OPEN = """
import os, sys
from kernelwire import standard_streams
standard_streams.complete()
print("seen", file=sys.stderr, flush=True)
print("seen", flush=True)
{0}
pipe, _ = os.pipe()
assert pipe > 2, pipe
sys.exit(os.waitstatus_to_exitcode(os.system("test -e /proc/self/fd/0 -a -e /proc/self/fd/1 -a -e /proc/self/fd/2")))
"""


@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_all_three_are_there_here_and_in_children(closed: str) -> None:
    reads = "assert sys.stdin.read() == ''"
    code = _SAYS_WHAT_IS_OPEN.format(reads)
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -I -c "$1" {closed}', sys.executable, code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "seen\n")
    assert done.stderr == ("" if "2>&-" in closed else "seen\n")


def test_what_the_encoding_has_not_is_escaped() -> None:
    code = "from kernelwire import standard_streams; standard_streams.complete(); print('\\u20ac')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"\\u20ac\n"), done


def test_a_command_without_standard_input() -> None:
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            'exec "$0" -m kernelwire user add ann --password-stdin --state-dir /nowhere/at/all <&-',
            sys.executable,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
