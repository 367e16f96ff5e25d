"""Every 500th event is written twice."""

import itertools
from types import ModuleType
from typing import Any

from tests.chaos.mutants.hook import after_import


def change(module: ModuleType) -> None:
    log: Any = module
    append, numbers = log.EventLog.append, itertools.count(1)

    def repeating(self: Any, event: Any, *, keep: bool = False) -> int | None:
        if next(numbers) % 500 == 0 and not keep:
            append(self, event)
        return append(self, event, keep=keep)

    log.EventLog.append = repeating


after_import("kernel_bridge.log", change)
