"""Writes down which modules a process of the service had imported when it ended; its folder is on their PYTHONPATH.

`<MODULES_DIR>/<role>.json`: their names.
"""

import atexit
import json
import os
import sys
from pathlib import Path

_ROLES = ("serve", "_front", "_host", "_set_up")


def _write(path: Path) -> None:
    path.write_text(json.dumps(sorted(sys.modules)))


for _role in _ROLES:
    if _role in sys.argv[1:] or _role in sys.orig_argv[1:]:
        atexit.register(_write, Path(os.environ["MODULES_DIR"], f"{_role}.json"))
        break
