"""structlog: the facts of a task and the types of its processors, without rich.

structlog's console renderer, which nothing here uses, imports rich wherever that is installed: 5 MiB in each process.
"""

import sys
from typing import cast

_MODULES = cast("dict[str, object]", sys.modules)
_UNSEEN = "rich" not in _MODULES
if _UNSEEN:
    _MODULES["rich"] = None  # an import of it fails, https://docs.python.org/3/reference/import.html#the-module-cache
try:
    from structlog.contextvars import bind_contextvars, merge_contextvars, reset_contextvars
    from structlog.typing import EventDict, Processor
finally:
    if _UNSEEN:
        del _MODULES["rich"]

__all__ = ["EventDict", "Processor", "bind_contextvars", "merge_contextvars", "reset_contextvars"]
