"""How a fork server's memory is laid out before it forks; standard library only, run by path.

A page is shared by all kernels until one of them writes to it, and taking a reference to an object is writing.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

POOL_BYTES = 16 * 1024
POOL_HEAD_BYTES = 48
BYTES_HEAD = sys.getsizeof(b"")
GAPS_MAX = 100_000
"""gaps of one size that are filled at most"""


def settle() -> list[object]:
    """Make kernels share as much as they can; what is returned must live on.

    Of 21 MiB that a kernel had for itself with all of preloads.IPYTHON, 4 are saved here.
    """
    gc.collect()
    hide_modules()
    filling = fill_gaps()
    gc.disable()
    gc.freeze()  # nothing that lives now is looked at by the collector again: looking is writing too
    return filling


class ModuleFile:
    """All that ipykernel's start wants to know of a module."""

    __slots__ = ("__file__",)

    def __init__(self, file: str) -> None:
        self.__file__ = "".join(list(file))  # a new string, next to the others


class LightSys:
    """`sys` for a module that only wants to know the files of all modules: it touches none of them."""

    def __init__(self) -> None:
        files = {name: getattr(module, "__dict__", {}).get("__file__") for name, module in list(sys.modules.items())}
        self.modules = {name: ModuleFile(file) for name, file in files.items() if type(file) is str}

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def hide_modules() -> None:
    """IPythonKernel.__init__ asks each of 900 modules for its `__file__`, which costs every kernel 1.6 MiB: see there.

    `resets.after_start` gives it `sys` back.
    """
    ipkernel: Any = sys.modules.get("ipykernel.ipkernel")
    if ipkernel is not None and getattr(ipkernel, "sys", None) is sys:
        ipkernel.sys = LightSys()


def fill_gaps() -> list[object]:
    """Fill what imports have freed between what lives on, or each kernel writes its first objects there.

    Objects of up to 512 bytes come from pools of one size (CPython, Objects/obmalloc.c). When a few come one after the
    other from the beginning of a pool, that pool is new, and there is no gap of this size any more.
    """
    filling: list[object] = []
    for size in range(16, 513, 16):
        last, run = 0, 0
        enough = min(8, (POOL_BYTES - POOL_HEAD_BYTES) // size)
        for count in range(GAPS_MAX):
            filling.append(object() if size == 16 else count / 3 if size == 32 else bytes(size - BYTES_HEAD))
            here = id(filling[-1])
            run = run + 1 if here == last + size else int(here % POOL_BYTES == POOL_HEAD_BYTES)
            last = here
            if run >= enough:
                break
    return filling
