"""A user of the system for each session, so that what runs in one is nobody to the others: a number, no account.

Numbers are never given twice: files of a session that is gone may be left somewhere. For hosts that are root, or have
the capabilities of privileges.NEEDED.
"""

import contextlib
import os
import stat
import sys
from pathlib import Path

from kernel_bridge import privileges
from kernel_bridge.files import write_atomically
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.ownership import give_tree
from kernel_bridge.sandbox.probe import probe
from kernel_bridge.sandbox.sandboxes import is_wanted, profile_of
from kernel_bridge.sandbox.settings import SandboxSettings

NAME = "next-uid"
"""file in the state directory: the next number"""
OPEN = 0o711
"""mode of directories through which kernels get to their own: nobody else can list them"""


class SessionUsers:
    """Gives out numbers of `base` and above. Made by `open_users`."""

    def __init__(self, path: Path, base: int, count: int) -> None:
        self._path = path
        self._base = base
        self._count = count

    def new(self) -> int:
        """A number that no session of this state directory has had. Raises OSError, also when there are no more."""
        try:
            number = max(self._base, int(self._path.read_text()))
        except (FileNotFoundError, ValueError):
            number = self._base
        if number >= self._base + self._count:
            raise OSError(f"no user is left for a session: {self._count} were used (bridge.limits.uid_count)")
        write_atomically(self._path, b"%d" % (number + 1))
        return number


def open_users(state_dir: Path, settings: LimitSettings, sandbox: SandboxSettings) -> tuple[SessionUsers | None, str]:
    """The users of sessions, or None and why there are none. Changes nothing. Blocks as `probe` does."""
    if settings.uid_base is None:
        return None, "bridge.limits.uid_base is not set"
    if not privileges.has():
        return None, "the service is neither root nor has its capabilities"
    last = settings.uid_base + settings.uid_count - 1
    if not (privileges.is_mapped(settings.uid_base) and privileges.is_mapped(last)):
        return None, f"users {settings.uid_base} to {last} are not known in this container (bridge.limits.uid_base)"
    if settings.uid_base <= os.geteuid() <= last:
        return (
            None,
            f"the service itself runs as user {os.geteuid()}, one of those of sessions (bridge.limits.uid_base)",
        )
    for path, needed in _places(state_dir, sandbox):
        reason = privileges.obstacle(path, needed)
        if reason is not None:
            return None, reason
    if is_wanted(sandbox) and probe(settings.uid_base).level != probe().level:
        return None, f"for them this machine has a weaker sandbox: {probe(settings.uid_base)}"
    return SessionUsers(state_dir / NAME, settings.uid_base, settings.uid_count), ""


def are_for(sandbox: SandboxSettings, user: str) -> bool:
    """Whether sessions of `user` get one: not with `trusted`, whose kernels are at home where the service's user is."""
    return profile_of(sandbox, user) != "trusted"


def are_for_all(sandbox: SandboxSettings) -> bool:
    """Whether every session gets one, where there are any."""
    return "trusted" not in (sandbox.profile, *sandbox.users.values())


def open_way(state_dir: Path, sockets: Path) -> None:
    """Let kernels of other users get to their own directories, and see nothing else on the way. Raises OSError.

    What lies beside them is closed to others, whatever its mode was: until now its directory was.
    """
    ways = [state_dir, state_dir / "kernels", state_dir / "workdirs", sockets]
    for path in set(state_dir.iterdir()).difference(ways):
        with contextlib.suppress(FileNotFoundError):  # others work there too
            found = path.lstat()
            if found.st_uid == os.geteuid() and found.st_mode & 0o077 and not stat.S_ISLNK(found.st_mode):
                path.chmod(stat.S_IMODE(found.st_mode) & 0o700)
    (state_dir / "sessions").mkdir(mode=0o700, exist_ok=True)
    for path in ways:
        path.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(path.stat().st_mode) != OPEN:
            path.chmod(OPEN)


def give(path: Path, uid: int | None) -> None:
    """Give a directory with all that is in it to a user (None: to the service's own), if it is not his.

    Raises OSError, also where it is another's whose files we may not have.
    """
    wanted = os.geteuid() if uid is None else uid
    owner = path.lstat().st_uid
    if owner == wanted:
        return
    try:
        give_tree(path, wanted, os.getegid() if uid is None else uid)
    except PermissionError as error:
        raise PermissionError(
            error.errno,
            f"{path} belongs to user {owner}, which the session had when the service was root: start it as root, or "
            "with the capabilities that docs/how-to/limits.md names",
        ) from error


def let_read(directory: Path, file: Path, uid: int) -> None:
    """Let a user read one file in a directory of ours, and neither list nor change anything there. Raises OSError."""
    for path, mode in ((directory, 0o710), (file, 0o640)):
        path.chmod(mode)
        os.chown(path, -1, uid, follow_symlinks=False)


def _places(state_dir: Path, sandbox: SandboxSettings) -> list[tuple[Path, int]]:
    """What kernels need besides what is made for them, and what they do with it."""
    programs = [sys.executable, sys.prefix, sys.base_prefix, Path(__file__).parent]
    shared = [*sandbox.mounts_ro, *sandbox.mounts_rw]
    return [
        *((Path(path), 0o005) for path in programs),
        (state_dir.absolute().parent, 0o001),
        *((Path(path), 0) for path in shared),
    ]
