"""Libraries for numbers keep pools of threads; standard library only, run by path.

No thread survives a fork, so in the fork server they are told to have none (see preloads.with_care), and in the kernel
they get the size that they would have had. Only what is known here is given back; the libraries read the environment
when they are loaded, and never again.

Sources: the manuals of OpenBLAS ("runtime variables"; numpy's and scipy's own copies have names of their own), Intel
oneMKL and OpenMP 5.2 (omp_set_num_threads).
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

OPENBLAS = tuple(f"{prefix}openblas_set_num_threads{suffix}" for prefix in ("", "scipy_") for suffix in ("", "64_"))
KNOWN = (
    ("openblas", OPENBLAS, ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")),
    ("libmkl_rt", ("MKL_Set_Num_Threads",), ("MKL_NUM_THREADS", "OMP_NUM_THREADS")),
    ("libgomp", ("omp_set_num_threads",), ("OMP_NUM_THREADS",)),
    ("libiomp5", ("omp_set_num_threads",), ("OMP_NUM_THREADS",)),
    ("libomp", ("omp_set_num_threads",), ("OMP_NUM_THREADS",)),
)
"""a part of a library's file name, its functions for the size, the variables with the size that is wanted"""


class ThreadPools:
    """Those of the libraries that are loaded now."""

    def __init__(self) -> None:
        self._found: list[tuple[Any, tuple[str, ...]]] = []
        for path in loaded_libraries():
            for word, functions, variables in KNOWN:
                if word in os.path.basename(path):
                    library = ctypes.CDLL(path)
                    known = [getattr(library, name) for name in functions if hasattr(library, name)]
                    self._found += [(function, variables) for function in known]

    def give_back(self) -> None:
        """Give each pool the size that the environment says, or as many threads as this process has processors."""
        processors = len(os.sched_getaffinity(0))
        for set_size, variables in self._found:
            asked = (os.environ.get(name, "") for name in variables)
            wanted = next((int(text) for text in asked if text.isdecimal() and int(text) > 0), processors)
            set_size(min(wanted, processors))


def loaded_libraries() -> set[str]:
    """Paths of the shared libraries of this process."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        paths = {line.split(maxsplit=5)[-1].strip() for line in file if "/" in line}
    return {path for path in paths if ".so" in os.path.basename(path)}
