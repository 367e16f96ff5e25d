"""The kernelspecs installed on this machine.

Source: jupyter_client documentation, "Making kernels for Jupyter", section "Kernel specs".
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from kernel_bridge import kernelspec_files, results
from kernel_bridge.errors import KernelspecNotFound
from kernel_bridge.kernel_command import Spec, argv_for, environment

__all__ = ["LAUNCHER", "Kernelspecs", "Spec", "argv_for", "environment"]

LAUNCHER = Path(__file__).with_name("launcher.py")
DEFAULT = kernelspec_files.NATIVE
CACHE_S = 2.0
"""a kernelspec installed now is seen this much later at most"""
SCAN_S = 20.0
NAME = re.compile(r"[a-z0-9._-]+", re.ASCII)
LOCAL = "local-provisioner"

log = logging.getLogger("kernelwire.bridge.kernelspecs")


class Kernelspecs:
    """Kernelspecs by name, lower case, found where jupyter_client finds them. What is broken is left out and logged."""

    def __init__(self, folders: Iterable[Path] | None = None) -> None:
        """`folders`: look there alone; else where jupyter_client looks, and for the ipykernel that is importable."""
        self._folders = None if folders is None else list(folders)
        self._specs: dict[str, Spec] = {}
        self._fresh_until = 0.0
        self._scanning = asyncio.Lock()
        self._faults: dict[str, str] = {}

    async def names(self) -> list[str]:
        """All names, sorted. Raises TimeoutError if the disk does not answer, as all methods here do."""
        return list(await self._current())

    async def get(self, name: str) -> Spec:
        """The kernelspec `name`, in any case. Raises KernelspecNotFound, also for what cannot be a name."""
        specs = await self._current()
        spec = specs.get(name.lower())
        if spec is None:
            raise KernelspecNotFound(name, list(specs))
        return spec

    async def find(self, name: str) -> Spec | None:
        """As `get`, but None if there is none."""
        return (await self._current()).get(name.lower())

    async def list(self, preloaded: Callable[[Spec], bool] = lambda _: False) -> results.Kernelspecs:
        """All kernelspecs as the wire contract shows them, sorted by name. `preloaded`: whether a kernel of one is."""
        specs = await self._current()
        default = _default(specs)
        return results.Kernelspecs(
            [
                results.Kernelspec(
                    name=spec.name,
                    display_name=spec.display_name,
                    language=spec.language,
                    preloaded=preloaded(spec),
                    lossless=spec.launcher,
                    default=spec.name == default,
                )
                for spec in specs.values()
            ]
        )

    async def default(self) -> str:
        """`python3` if it is there, else the first Python, else the first. Raises KernelspecNotFound: there is none."""
        name = _default(await self._current())
        if name is None:
            raise KernelspecNotFound(DEFAULT, [])
        return name

    async def faults(self) -> dict[str, str]:
        """What is left out, by name, and why."""
        await self._current()
        return dict(self._faults)

    async def _current(self) -> dict[str, Spec]:
        async with self._scanning:
            if time.monotonic() >= self._fresh_until:
                async with asyncio.timeout(SCAN_S):
                    self._specs = await asyncio.to_thread(self._scan)
                self._fresh_until = time.monotonic() + CACHE_S
            return self._specs

    def _scan(self) -> dict[str, Spec]:
        """In a thread: it reads directories, which may be on a disk that does not answer."""
        found: dict[str, Spec] = {}
        native = self._folders is None
        folders = kernelspec_files.folders() if self._folders is None else self._folders
        directories = kernelspec_files.find(folders, native=native)
        self._faults = {name: fault for name, fault in self._faults.items() if name in directories}
        for name, directory in sorted(directories.items()):
            if not NAME.fullmatch(name):  # a directory's name; it could not be asked for
                continue
            try:
                found[name] = _read(name, directory)
            except (OSError, ValueError, RecursionError) as error:
                self._log_once(name, f"{type(error).__name__}: {error}")
            else:
                self._faults.pop(name, None)
        return found

    def _log_once(self, name: str, fault: str) -> None:
        if self._faults.get(name) != fault:
            self._faults[name] = fault
            log.warning("kernelspec_left_out name=%s fault=%s", name, fault)


def _read(name: str, directory: Path) -> Spec:
    """Raises OSError, ValueError, RecursionError: what is there cannot be started here."""
    made = kernelspec_files.read(name, directory)
    if not made.argv or not made.argv[0]:
        raise ValueError("argv is empty")
    provisioner: Any = made.metadata.get("kernel_provisioner") or {}
    if not isinstance(provisioner, dict):
        raise ValueError("kernel_provisioner is no object")  # noqa: TRY004  of the file, not of a program
    if cast("dict[str, object]", provisioner).get("provisioner_name", LOCAL) != LOCAL:
        raise ValueError("it asks for another provisioner, and only local processes are started here")
    return made


def _default(specs: dict[str, Spec]) -> str | None:
    if DEFAULT in specs:
        return DEFAULT
    python = (spec.name for spec in specs.values() if spec.language.lower() == "python")
    return next(python, next(iter(specs), None))
