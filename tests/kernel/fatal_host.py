"""`kernelwire`, which kills itself at one call of one of its own functions: what the tests of dead hosts run.

Usage: python -m tests.kernel.fatal_host MODULE:FUNCTION:before|after:NUMBER ARGUMENTS...
"""

import functools
import importlib
import os
import signal
import sys
from typing import Any

from kernelwire.cli import main


def arm(module: str, function: str, when: str, number: int) -> None:
    """Have the call number `number` of a function be the last thing that this process does. `before`: without its
    first step; `after`: with all of it, so not for coroutines."""
    *path, name = function.split(".")
    owner: Any = importlib.import_module(module)
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    calls = 0

    @functools.wraps(original)
    def fatal(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, fatal)


if __name__ == "__main__":
    module, function, when, number = sys.argv[1].split(":")
    arm(module, function, when, int(number))
    sys.exit(main(sys.argv[2:]))
