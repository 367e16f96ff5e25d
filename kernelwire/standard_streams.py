"""Standard input, output and error, as whoever started the program left them: perhaps closed, or in ASCII.

Of a closed one the next file or socket that is opened gets the number: what is printed goes into it, and a child loses
it as it starts. Source: execve(2), which leaves this to programs; `sys.stdin` of the standard library, None then.
"""

import os
import sys
from typing import Any


def complete() -> None:
    """Put /dev/null where nothing is open, also for children, and let no character stop what is printed: one that the
    encoding of standard output has not is escaped. Before anything else is opened. Raises OSError."""
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
    _escape(sys.stdout)


def _escape(stdout: Any) -> None:
    if getattr(stdout, "errors", None) == "strict" and hasattr(stdout, "reconfigure"):
        stdout.reconfigure(errors="backslashreplace")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
