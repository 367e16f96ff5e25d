"""What a fork server imports before the first fork; standard library only, run by path.

The modules of IPYTHON are what a kernel imports between its start and the end of its first execute, complete and
inspect: found by comparing sys.modules. A test compares again.
"""

from __future__ import annotations

import fnmatch
import importlib
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable

IPYTHON = (
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.debugger", "ipykernel.subshell"),
    *("ipykernel.subshell_manager", "ipykernel.datapub", "debugpy", "tornado.platform.asyncio", "zmq.asyncio"),
    *("IPython.core.completer", "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.guarded_eval"),
    *("IPython.core.latex_symbols", "IPython.core.logger", "IPython.core.oinspect", "IPython.core.pylabtools"),
    *("IPython.core.magics.execution", "IPython.extensions.storemagic", "IPython.utils.module_paths"),
    *("IPython.utils.timing", "IPython.utils.wildcard", "jedi", "jedi.plugins.stdlib", "parso.python.diff"),
    *("pygments.formatters.html", "pygments.formatters.terminal256", "pygments.lexers.python"),
    *("pygments.filters", "pygments.styles.default", "pygments.unistring", "stack_data", "executing", "pure_eval"),
    *(
        "sqlite3",
        "psutil",
        "pexpect",
        "argcomplete",
        "comm",
        "cProfile",
        "faulthandler",
        "fractions",
        "multiprocessing",
    ),
    *("difflib", "filecmp", "pdb", "pydoc_data.topics", "resource", "runpy", "timeit", "zipfile"),
)
SCIENTIFIC = ("numpy", "sympy", "matplotlib.pyplot", "matplotlib_inline.backend_inline")
PROFILES = {"scientific": SCIENTIFIC}
"""Words that stand for modules. Of these, what is not installed is no fault."""
THREAD_END_S = 0.5
"""a thread that an import started may take this long to end by itself"""
WARM_CODE = "import os\nclass A:\n    pass\ndef f(a, b=1):\n    return [a]\nf(1)"

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
INLINE = "module://matplotlib_inline.backend_inline"


class Refused(Exception):
    """A module that no process with children to come may import: it cannot be undone, so this process must end."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(module, reason)
        self.module = module
        self.reason = reason


def modules(asked: Iterable[str]) -> list[tuple[str, bool]]:
    """Names of modules in order, each with whether it was asked for by its own name. `asked`: profiles and modules."""
    found = dict.fromkeys(IPYTHON, False)
    for word in asked:
        for name in PROFILES.get(word, (word,)):
            found[name] = found.get(name, False) or word not in PROFILES
    return list(found.items())


def import_all(asked: Iterable[str], without: Iterable[str], tell: Callable[[str], None]) -> dict[str, str]:
    """Import everything but `without`; `tell` gets each name before. What could not be imported, and why.

    Raises Refused.
    """
    left_out: dict[str, str] = {}
    for name, by_name in modules(asked):
        if name in without:
            continue
        tell(name)
        before = descriptors()
        try:
            importlib.import_module(name)
        except Exception as error:  # of somebody else's code: anything
            missing = isinstance(error, ModuleNotFoundError) and not by_name
            if not missing:
                left_out[name] = f"{type(error).__name__}: {error}"
        except SystemExit:
            left_out[name] = "it ends the program when it is imported"
        check_single(name, before)
    return left_out


def with_care() -> None:
    """The environment that imports see: no pools of threads, plots that go to the notebook. `resets` takes it back."""
    for name in ONE_THREAD:
        os.environ[name] = "1"
    os.environ.setdefault("MPLBACKEND", INLINE)
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def warm() -> None:
    """Fill the caches that a start, the first cell, completion and error would fill: grammars, lexers, stubs of
    builtins, regular expressions."""
    try:
        jedi = importlib.import_module("jedi")
        for code in (WARM_CODE, "''.jo"):  # not `import os; os.`: that holds 10 MiB and saves 20 ms once
            jedi.Interpreter(code, [{}]).complete()
        importlib.import_module("IPython.core.completer").IPCompleter(namespace={})
        importlib.import_module("IPython.core.inputtransformer2").TransformerManager().transform_cell(WARM_CODE)
        for pattern in ("*.py", "*.ipy"):  # start-up files are looked for
            fnmatch.filter(["a"], pattern)
            list(pathlib.Path(os.devnull).glob(pattern))
        lexers = importlib.import_module("IPython.utils.PyColorize")
        lexers.Parser(theme_name="linux").format(WARM_CODE, "str")
    except Exception:  # noqa: S110  another version: its first use is what it would have been
        pass


def check_single(name: str, before: dict[str, str]) -> None:
    """Raises Refused if the import of `name` left a thread or an open descriptor behind."""
    end = time.monotonic() + THREAD_END_S
    while threads() > 1:
        if time.monotonic() > end:
            raise Refused(name, "it starts a thread when it is imported, and a process with threads cannot be forked")
        time.sleep(0.01)
    opened = set(descriptors().items()) - set(before.items())
    if opened:
        what = ", ".join(sorted(target for _, target in opened))
        raise Refused(name, f"it keeps {what} open when it is imported, which all kernels would share")


def installed() -> dict[str, int]:
    """When something was last put into or taken out of each directory that packages were imported from.

    A kernel with one half of a package from memory and the other, newer one from disk would fail in strange ways.
    """
    found: dict[str, int] = {}
    for directory in dict.fromkeys(sys.path):
        if os.path.basename(directory) in ("site-packages", "dist-packages"):
            try:
                found[directory] = os.stat(directory).st_mtime_ns
            except OSError:
                continue
    return found


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> dict[str, str]:
    """What is open: descriptors and where they lead."""
    found: dict[str, str] = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink("/proc/self/fd/" + fd)
        except OSError:
            continue  # the listing's own
    return found
