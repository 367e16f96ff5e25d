"""The folders of kernelspecs and the files in them, found and read as jupyter_client does.

jupyter_client itself would do it, but brings its clients, tornado and traitlets along: 6 MiB in every host, for a few
files of JSON. A test compares both. Source: jupyter_client documentation, "Making kernels for Jupyter", "Kernel specs";
where that is silent, jupyter_client's KernelSpecManager and IPython's get_ipython_dir.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
from jupyter_core.paths import jupyter_path
from msgspec import Struct

from kernel_bridge.kernel_command import Spec

NATIVE = "python3"
FILE = "kernel.json"


class _Members(Struct, frozen=True):
    """What is read of kernel.json; other members, as bash_kernel's `codemirror_mode`, are left out."""

    argv: list[str] = []
    display_name: str = ""
    language: str = ""
    env: dict[str, str] = {}
    interrupt_mode: Literal["signal", "message"] = "signal"
    metadata: dict[str, Any] = {}


def folders() -> list[Path]:
    """Where to look, the most important first: Jupyter's data directories, then IPython's, as in old times."""
    return [*(Path(folder) for folder in jupyter_path("kernels")), _ipython_dir() / "kernels"]


def find(folders: Iterable[Path], *, native: bool = True) -> dict[str, Path]:
    """The directories of kernelspecs by name, lower case. `native`: with `python3`, if ipykernel is importable here."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in _directories(folder):
            found.setdefault(path.name.lower(), path)
    resources = _native_resources() if native and NATIVE not in found else None
    if resources is not None:
        found[NATIVE] = resources
    return found


def read(name: str, directory: Path) -> Spec:
    """Raises OSError, ValueError or RecursionError for what is no kernelspec."""
    members = _native_members() if name == NATIVE and directory == _native_resources() else _members(directory)
    return Spec(
        name=name,
        display_name=members.display_name or name,
        language=members.language,
        argv=members.argv,
        env=members.env,
        interrupt_mode=members.interrupt_mode,
        metadata=members.metadata,
        resource_dir=str(directory),
    )


def _directories(folder: Path) -> list[Path]:
    """What is no folder, or cannot be listed, holds no kernelspecs for us."""
    try:
        return sorted(path for path in folder.iterdir() if _is_file(path / FILE))
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a directory that we may not enter
        return False


def _members(directory: Path) -> _Members:
    # the standard library's reader: it takes what jupyter_client takes, NaN for instance
    found: object = json.loads((directory / FILE).read_text(encoding="utf-8"))
    if isinstance(found, dict):
        members = cast("dict[str, object]", found)
        mode = members.get("interrupt_mode")
        if isinstance(mode, str):
            members["interrupt_mode"] = mode.lower()
    return msgspec.convert(found, _Members)


def _native_resources() -> Path | None:
    """The folder that stands for the kernelspec of an ipykernel whose kernel.json is installed nowhere."""
    package = importlib.util.find_spec("ipykernel")
    places = package.submodule_search_locations if package is not None else None
    return Path(places[0]) / "resources" if places else None


def _native_members() -> _Members:
    """As ipykernel.kernelspec.get_kernel_dict, which imports jupyter_client."""
    return _Members(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name=f"Python {sys.version_info[0]} (ipykernel)",
        language="python",
        metadata={"debugger": True, "supported_encryption": ["curve"]},
    )


def _ipython_dir() -> Path:
    named = os.environ.get("IPYTHONDIR")
    if named:
        return Path(named).expanduser()
    usual = Path.home() / ".ipython"
    old = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ipython"
    return old if old.is_dir() and not usual.exists() else usual
