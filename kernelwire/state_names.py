"""What lies in a state directory, by name."""

import re
from collections.abc import Collection

HOME = "home"
"""of a service's user without an account"""
TREES = ("sessions", "kernels", "workdirs", HOME)
SECRET = "secret"  # noqa: S105  a file's name
_FILES = re.compile(
    rf"{SECRET}|hop-secret|admin-password|host\.json|host-id|host\.lock|serve\.json|serve\.lock|client\.json|runtime"
    r"|next-uid|kernelwire\.db(-wal|-shm|-journal)?|audit\.jsonl(\.\d+)?|\.[a-z.-]+\.[0-9a-f]{8,16}"
)
_BESIDE = {"config.toml", "lost+found"}
"""what an administrator, or a file system, puts there before the first start"""


def is_ours(name: str) -> bool:
    """Whether the service makes a file or a directory of this name."""
    return name in TREES or _FILES.fullmatch(name) is not None


def are_of_a_service(names: Collection[str]) -> bool:
    """Whether a directory with these in it is a service's, or is none's yet."""
    found = set(names) - _BESIDE
    return not found or (SECRET in found and all(map(is_ours, found)))
