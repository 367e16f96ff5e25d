"""What this process may do beyond its user, and where other users may come: what sessions' users need.

Sources: capabilities(7), user_namespaces(7).
"""

from collections.abc import Iterable
from pathlib import Path

CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID = 0, 1, 5, 6, 7
NEEDED = (CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID)
"""CHOWN: a session's directories are given to its user. DAC_OVERRIDE: its kernel's records and sockets, and its files
to be measured and deleted, lie in directories that are that user's alone. KILL: its kernel is interrupted and ended.
SETGID, SETUID: its kernel is started as that user."""


def has(wanted: Iterable[int] = NEEDED) -> bool:
    """Whether these capabilities are in force here."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            effective = int(value, 16)
            return all(effective >> number & 1 for number in wanted)
    return False


def obstacle(path: Path, needed: int = 0o005) -> str | None:
    """What keeps users whom nobody knows from `path`; None: nothing does. `needed`: what they do with it, 0o005 to run
    a program or to import from a directory, 0o001 to pass through one, 0 to get there."""
    for one in (path.absolute(), path.resolve()):
        asked = [*((above, 0o001) for above in reversed(one.parents)), (one, needed)]
        for place, bits in asked:
            try:
                mode = place.stat().st_mode
            except FileNotFoundError:  # whoever makes it says who may come
                break
            except OSError as error:
                return f"{place}: {error.strerror}"
            if mode & bits != bits:
                return f"{place} is closed to other users"
    return None


def is_mapped(uid: int) -> bool:
    """Whether there is such a user in this user namespace, which in a container has few."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= uid < first + count:
            return True
    return False
