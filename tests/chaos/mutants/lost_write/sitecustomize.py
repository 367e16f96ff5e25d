"""Every 500th event is not written, and nobody is told."""

import itertools
from types import ModuleType
from typing import Any

from tests.chaos.mutants.hook import after_import


def change(module: ModuleType) -> None:
    log: Any = module
    append, numbers = log.EventLog.append, itertools.count(1)

    def skipping(self: Any, event: Any, *, keep: bool = False) -> int | None:
        return self.newest if next(numbers) % 500 == 0 and not keep else append(self, event, keep=keep)

    log.EventLog.append = skipping


after_import("kernel_bridge.log", change)
