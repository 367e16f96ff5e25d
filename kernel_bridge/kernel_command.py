"""From a kernelspec to the command and the environment of a kernel.

Source: jupyter_client documentation, "Making kernels for Jupyter", section "Kernel specs"; where that is silent, what
jupyter_client's KernelManager and LocalProvisioner do.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any, Literal

from msgspec import Struct

PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_]+)\}")
INTERPRETER = re.compile(r"(python|pypy)[0-9.]*")
IPYKERNEL = ("ipykernel_launcher", "ipykernel")
NOT_IPYKERNEL = ("xpython", "xpython_launcher")
"""kernels for Python that are not written in Python"""
OPTIONS_WITH_VALUE = ("-X", "-W", "--check-hash-based-pycs")

PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "PYTHONPATH"),
    *("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"),
)
PASSED_ON_PREFIXES = ("LC_", "XDG_", "MPL", "OPENBLAS_", "OMP_", "MKL_", "SAGE_", "R_", "JULIA_")
OF_USER = (
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "IPYTHONDIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_CONFIG_DIR",
    "MPLCONFIGDIR",
)
NEVER = ("XDG_RUNTIME_DIR",)
"""our sockets are there"""
OURS = "KERNELWIRE_"
MAX_EVENT_BYTES = "KERNELWIRE_MAX_EVENT_BYTES"
"""what our launcher takes for the longest iopub message"""


class Spec(Struct, frozen=True):
    """A kernelspec: kernel.json and where it lies."""

    name: str
    display_name: str
    language: str
    argv: list[str]
    env: dict[str, str]
    interrupt_mode: Literal["signal", "message"]
    metadata: dict[str, Any]
    resource_dir: str

    @property
    def launcher(self) -> bool:
        """Whether our launcher starts the kernel, which then loses no output."""
        return module_index(self) is not None

    @property
    def subshells(self) -> bool:
        """Whether a subshell that the kernel says it has may be used.

        Every kernel that wraps another program by ipykernel's base class says so, bash_kernel for instance, whose
        completion then talks to the program in the middle of a cell's output: only kernels of our launcher are
        believed, and those whose metadata has `{"kernelwire": {"subshells": true}}`.
        """
        said = _own_metadata(self, "subshells")
        return self.launcher if said is None else said


def module_index(spec: Spec) -> int | None:
    """Where in argv the `-m` of a Python kernel stands that our launcher can run; None: leave the command alone.

    The module is ipykernel, or any module of a kernel whose language is Python, for nearly all of those are built on
    ipykernel. Metadata `{"kernelwire": {"launcher": false}}` says no, true says yes for another language.
    """
    index = module_option(spec.argv)
    if index is None:
        return None
    said = _own_metadata(spec, "launcher")
    if said is not None:
        return index if said else None
    module = spec.argv[index + 1]
    fits = module in IPYKERNEL or (spec.language.lower() == "python" and module not in NOT_IPYKERNEL)
    return index if fits else None


def _own_metadata(spec: Spec, name: str) -> bool | None:
    """What the kernelspec's metadata says to us; None if it says nothing."""
    own: object = spec.metadata.get("kernelwire")
    said: object = own.get(name) if isinstance(own, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return said if isinstance(said, bool) else None


def argv_for(spec: Spec, connection_file: str, launcher_path: str) -> list[str]:
    """The command of a kernel, placeholders filled, `-m MODULE` replaced by `launcher_path MODULE` where that works."""
    argv = list(spec.argv)
    index = module_index(spec)
    values = {
        "connection_file": os.path.realpath(connection_file),
        "prefix": sys.prefix,
        "resource_dir": spec.resource_dir,
    }
    filled = [PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), word) for word in argv]
    if index is not None:
        filled[index] = launcher_path
    major, minor = sys.version_info[:2]
    if filled[0] in ("python", f"python{major}", f"python{major}.{minor}"):
        filled[0] = sys.executable  # PATH may lead to another one than that in which the kernelspec was found
    return filled


def environment(spec: Spec, *, theirs: bool = True) -> dict[str, str]:
    """The whole environment of a kernel: what of the host's is no secret, and the kernelspec's own.

    theirs: the kernel runs as the user of the service, so that this user's directories are its own too.

    `${NAME}` in the kernelspec takes the host's value; a name that is not there stays as it is written.
    """
    host = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    result = {name: value for name, value in host.items() if _is_passed_on(name) and (theirs or not _of_user(name))}
    result |= {name: Template(text).safe_substitute(host) for name, text in spec.env.items()}
    if spec.language.lower().startswith("python"):
        result.pop("PYTHONEXECUTABLE", None)
        # else every start of a kernel tells its user of debugpy's doubts about frozen modules
        result.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    return {name: value for name, value in result.items() if not name.startswith(OURS)}


def own_environment(workdir: str) -> dict[str, str]:
    """Of a kernel with a user of its own, which is at home in its session's directory."""
    return {"HOME": workdir}


def launcher_environment(spec: Spec, max_event_bytes: int) -> dict[str, str]:
    """What our launcher is told, and takes out of the kernel's environment; nothing for other kernels."""
    return {MAX_EVENT_BYTES: str(max_event_bytes)} if spec.launcher else {}


def _of_user(name: str) -> bool:
    return name in OF_USER or name.startswith("XDG_")


def _is_passed_on(name: str) -> bool:
    return name in PASSED_ON or (name.startswith(PASSED_ON_PREFIXES) and name not in NEVER)


def module_option(argv: list[str]) -> int | None:
    """The index of `-m` in `[python, options..., -m, MODULE, ...]` or `[sage, --python, options..., -m, MODULE, ...]`,
    None for any other command.
    """
    words = iter(enumerate(argv))
    _, program = next(words)
    if not INTERPRETER.fullmatch(Path(program).name) and next(words, (0, ""))[1] != "--python":
        return None
    return _after_options(words, len(argv))


def _after_options(words: Iterator[tuple[int, str]], count: int) -> int | None:
    for index, word in words:
        if word == "-m":
            return index if index + 1 < count else None
        if not word.startswith("-") or word in ("-", "-c"):
            return None
        if word in OPTIONS_WITH_VALUE:
            next(words, None)
    return None
