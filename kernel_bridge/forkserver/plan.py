"""Which fork server a launch needs: equal plans, one server."""

import os

from msgspec import Struct

from kernel_bridge.kernel_command import PASSED_ON, PASSED_ON_PREFIXES, module_option
from kernel_bridge.kernelspecs import LAUNCHER
from kernel_bridge.launch import KernelLaunch

PREFIXES = (*PASSED_ON_PREFIXES, "PYTHON", "PYDEVD_", "IPYTHON_", "NUMEXPR_", "SYMPY_", "BLIS_", "VECLIB_")


class Plan(Struct, frozen=True):
    """An interpreter with its options, what of the environment its start and imports may look at, what to import."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    preload: tuple[str, ...]


def interpreter_words(argv: list[str]) -> int | None:
    """How many words the interpreter and its options are, before our launcher or `-m`; None for other commands."""
    return argv.index(str(LAUNCHER)) if str(LAUNCHER) in argv else module_option(argv)


def plan_for(launch: KernelLaunch) -> Plan | None:
    """The plan for `launch`; None where no server can do what its command would.

    The environment is an allow-list: a variable that only this kernel has, a password say, is given to it in its own
    process, and reaches neither the server nor the other kernels.
    """
    words = interpreter_words(launch.argv)
    paths = launch.env.get("PYTHONPATH", "").split(":")
    if words is None or not all(path.startswith("/") for path in paths if path):  # a relative one means the workdir
        return None
    env = {name: text for name, text in launch.env.items() if name in PASSED_ON or name.startswith(PREFIXES)}
    if launch.uid is not None:
        # Each session has its own, one server serves them all: here is nothing, and nothing can be made.
        env["HOME"] = os.devnull
    return Plan(tuple(launch.argv[:words]), tuple(sorted(env.items())), launch.preload)
