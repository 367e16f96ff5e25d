"""Standard input, output and error, where whoever started the program closed some of them.

Without this the next file or socket that is opened gets such a number, what is printed goes into it, and a child loses
it as it starts. Source: execve(2), which leaves this to programs; `sys.stdin` of the standard library, None then.
"""

import os
import sys


def complete() -> None:
    """Put /dev/null where nothing is open, also for children. Before anything else is opened. Raises OSError."""
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  open until the process ends, as are the next two
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
