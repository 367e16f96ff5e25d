"""What a forked kernel gives up of its fork server, so that it is as one started alone; standard library, run by path.

Otherwise all kernels of one server would have the same random numbers, the same names of temporary files, the same
keys between processes, and the server's environment, directory and signals. What stays the same in all of them: the
seed of str hashes (PYTHONHASHSEED) and the layout of memory. `Before` is made ahead of the first import.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

INLINE_BACKEND = "matplotlib_inline.backend_inline"


class Before:
    """The process before it imported anything, and what its start changed in the environment that it was given.

    A wrapper in front of the interpreter (Sage's) sets variables, as does the interpreter itself where the locale is
    C: a kernel started alone would have those too.
    """

    def __init__(self, given: dict[str, str]) -> None:
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._changed = {name: text for name, text in os.environ.items() if given.get(name) != text}
        self._removed = given.keys() - os.environ.keys()
        self._own = dict(os.environ)
        self._imported: dict[str, str] = {}

    def see_imports(self, seen: dict[str, str]) -> None:
        """Remember what modules put into the environment when they were imported. `seen`: what it was before that."""
        self._imported = {name: text for name, text in os.environ.items() if seen.get(name) != text}

    def environment(self, asked: dict[bytes, bytes]) -> dict[str, str]:
        """That of a kernel which was asked to have `asked`."""
        full = {os.fsdecode(name): os.fsdecode(text) for name, text in asked.items()}
        for name, text in self._imported.items():
            if name in self._own or name not in full:  # else it is this kernel's own, which the module would have seen
                full[name] = text
        full.update(self._changed)
        return {name: text for name, text in full.items() if name not in self._removed}

    def restore(self, environment: dict[str, str]) -> None:
        """The process's own things, in a kernel that stands in its working directory."""
        os.umask(self._umask)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        python_signals()


def python_signals() -> None:
    """The handlers that a Python has at its start; all others have the system's defaults already."""
    # Not the public module's functions: they make enums, which writes to many a page.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def reset_modules() -> None:
    """What modules that are imported have taken from the server; each only if it is there.

    Raises whatever goes wrong with what others could guess: such a kernel must not run.
    """
    for name, reset in (
        ("random", random_numbers),
        ("sympy.core.random", random_numbers),
        ("numpy.random", random_numbers),
        ("multiprocessing.process", multiprocessing_keys),
        ("tempfile", temporary_names),
    ):
        if name in sys.modules:
            reset(sys.modules[name])
    for name, reset in (
        ("jupyter_core.paths", jupyter_directories),
        ("matplotlib", matplotlib_directories),
        ("jedi.settings", jedi_directory),
        ("parso.cache", parso_directory),
        ("traitlets.log", traitlets_logger),
        ("logging", logging_start),
    ):
        if name in sys.modules:
            with contextlib.suppress(AttributeError):  # another version, which has nothing of the kind
                reset(sys.modules[name])


def random_numbers(module: Any) -> None:
    """The module's shared generator: random's own fork hook seeds it too, numpy's and sympy's know nothing of forks."""
    module.seed()


def multiprocessing_keys(process: Any) -> None:
    """The key by which this process and its children know each other, and where they start."""
    process.current_process().authkey = os.urandom(32)
    process.ORIGINAL_DIR = os.getcwd()


def temporary_names(tempfile: Any) -> None:
    tempfile.tempdir = None
    tempfile._name_sequence = None


def jupyter_directories(paths: Any) -> None:
    paths._dtemps.clear()


def matplotlib_directories(matplotlib: Any) -> None:
    """Where the home directory cannot be written they are temporary; the server's end with the first of its kernels."""
    for name in ("get_configdir", "get_cachedir"):
        setattr(matplotlib, name, functools.lru_cache(maxsize=None)(getattr(matplotlib, name).__wrapped__))


def jedi_directory(settings: Any) -> None:
    """Where completion keeps what it parsed; without such a place it finds nothing. Source: jedi.settings, on Linux."""
    settings.cache_directory = os.path.expanduser(os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "jedi"))


def parso_directory(cache: Any) -> None:
    cache._default_cache_path = cache._get_default_cache_path()


def traitlets_logger(log: Any) -> None:
    log._logger = None


def logging_start(logging: Any) -> None:
    """The instant that `%(relativeCreated)d` counts from: nanoseconds since Python 3.13."""
    logging._startTime = time.time() if isinstance(logging._startTime, float) else time.time_ns()


def after_start() -> None:
    """Have done, when IPython is set up in this kernel, what can only be done then."""
    app_class: Any = importlib.import_module("ipykernel.kernelapp").IPKernelApp
    init_gui_pylab = app_class.init_gui_pylab

    def init_gui_pylab_in_fork(self: Any) -> Any:
        ipkernel: Any = sys.modules.get("ipykernel.ipkernel")
        if ipkernel is not None:
            ipkernel.sys = sys  # see memory.hide_modules
        result = init_gui_pylab(self)
        backend: Any = sys.modules.get(INLINE_BACKEND)
        if backend is not None:  # it connects itself with IPython when it is imported: that was too early
            backend._enable_matplotlib_integration()
        return result

    app_class.init_gui_pylab = init_gui_pylab_in_fork
