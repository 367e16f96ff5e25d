"""Changes the product in a service under test: by PYTHONPATH, from a `sitecustomize` that every Python of it imports.

The product has no switch for any of this. Source: the documentation of `site` and of `importlib`.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Finder:
    """Finds one module as it would be found without us, and changes it when it has been executed."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._change = change

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._change(module)

        spec.loader.exec_module = exec_module
        return spec


def after_import(name: str, change: Callable[[ModuleType], None]) -> None:
    """Call `change` with the module when it is imported, if it ever is."""
    sys.meta_path.insert(0, _Finder(name, change))
