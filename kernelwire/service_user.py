"""The user that a service runs as which root starts: `serve.user`, or by default a number that nobody has.

Such a user has to be able to run the interpreter, to import what is installed and to reach the state directory.
"""

import logging
import os
import pwd
import stat
import sys
from pathlib import Path

from msgspec import Struct

from kernel_bridge.privileges import CHOWN, DAC_OVERRIDE, NEEDED, SETGID, SETUID, has, is_mapped
from kernelwire.credentials import ROOT, Identity, is_root, owner_of
from kernelwire.errors import CannotServe, Failed
from kernelwire.settings import Settings
from kernelwire.state_names import HOME, are_of_a_service

DEFAULT = 1900000000
"""no account: just below the users of sessions (`bridge.limits.uid_base`)"""
STAYS = ("root", "0")
log = logging.getLogger("kernelwire.process")

_RUN, _READ, _PASS = 0o5, 0o4, 0o1
_TO_BECOME = (CHOWN, DAC_OVERRIDE, SETGID, SETUID)


class ServiceUser(Struct, frozen=True):
    """`identity`: whom the service becomes, None: it stays who starts it. `as_root`: why it stays root, if it does."""

    identity: Identity | None = None
    as_root: str = ""
    explicit: bool = False
    """whether the setting names it"""
    name: str = ""
    home: str = ""
    """of an account"""

    @property
    def owner(self) -> Identity:
        """Whose the state directory is to be. Only for root."""
        return self.identity or ROOT

    def environment(self, state_dir: Path) -> dict[str, str]:
        """That of root, made this user's: without root's own directories."""
        if self.identity is None:
            return dict(os.environ)
        of_root = ("SHELL", "MAIL", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        kept = {name: text for name, text in os.environ.items() if name not in of_root and not name.startswith("SUDO_")}
        home = self.home or str(state_dir / HOME)
        return {**kept, "HOME": home, "USER": self.name, "LOGNAME": self.name}

    def tell(self) -> None:
        """Say in the log who the service is to the system, if root has started it."""
        if self.as_root:
            log.warning("runs_as_root reason=%s", self.as_root)
        elif self.identity is not None:
            log.info("runs_as user=%s", self.identity)


def choose(setting: str, state_dir: Path) -> ServiceUser:
    """Who the service runs as. `setting`: `serve.user`. Changes nothing.

    Raises CannotServe: the user that is named is not there, or cannot work here.
    """
    if not is_root():
        return _of_ordinary_user(setting)
    if setting in STAYS:
        return ServiceUser(as_root=f"serve.user is {setting}", explicit=True)
    user = _find(setting) if setting else _account(DEFAULT)
    identity = user.identity or ROOT
    why = obstacle(identity, state_dir)
    if not why:
        return user
    if setting:
        raise CannotServe(f"serve.user {setting}: {why}")
    return ServiceUser(as_root=why)


def stranger(state_dir: Path, user: ServiceUser) -> str:
    """Why root's service, as this user, does not take the directory from its owner; empty: it does."""
    owner = owner_of(state_dir)
    if owner is None or user.explicit or owner.uid in (DEFAULT, user.owner.uid):
        return ""
    return f"{state_dir} belongs to user {owner.uid}: name it by serve.user, or choose another --state-dir"


def owner_at_work(state_dir: Path) -> Identity | None:
    """Whom a command of root's becomes, or acts as, to work in a state directory; None: it goes on as it is.

    Raises Failed: the owner cannot run what is installed here, as this process then could not either.
    """
    owner = owner_of(state_dir)
    why = obstacle(owner, state_dir) if owner is not None else ""
    if owner is not None and why:
        raise Failed(f"{state_dir} belongs to user {owner.uid}, who cannot run this kernelwire: {why}")
    return owner


def kept_by_host(settings: Settings) -> tuple[int, ...]:
    """Capabilities that the host keeps: those that it takes to give each session a user of its own, or none."""
    return NEEDED if getattr(settings.bridge.limits, "uid_base", None) is not None else ()


def obstacle(identity: Identity, state_dir: Path) -> str:
    """What keeps this user from working here; empty: nothing does."""
    if not has(_TO_BECOME):
        return "this root lacks the capabilities to become another user (CHOWN, DAC_OVERRIDE, SETGID, SETUID)"
    if not (is_mapped(identity.uid) and is_mapped(identity.gid)):
        return f"there is no user {identity.uid} in this container"
    above = next(path for path in state_dir.absolute().parents if path.exists())
    packages = Path(__file__).parent.parent
    for path, needed in ((Path(sys.executable), _RUN), (Path(os.__file__), _READ), (packages, _RUN), (above, _PASS)):
        why = _closed(path, needed, identity)
        if why:
            return why
    return _foreign(state_dir)


def _foreign(state_dir: Path) -> str:
    """Root owns much: only a directory that holds nothing but what a service makes is given away."""
    try:
        owner, names = state_dir.lstat().st_uid, {entry.name for entry in state_dir.iterdir()}
    except OSError:
        return ""
    homes = {Path(account.pw_dir) for account in pwd.getpwall()}
    if owner == 0 and (homes.intersection((state_dir, state_dir.resolve())) or not are_of_a_service(names)):
        return f"{state_dir} holds other things than a service's state, so that it stays root's"
    return ""


def _of_ordinary_user(setting: str) -> ServiceUser:
    if setting and (_find(setting).identity or ROOT).uid != os.geteuid():
        raise CannotServe(f"serve.user {setting}: only root can become another user, this is user {os.geteuid()}")
    return ServiceUser(explicit=bool(setting))


def _find(setting: str) -> ServiceUser:
    if setting in STAYS:
        return ServiceUser()
    if setting.isdecimal():
        return _account(int(setting), explicit=True)
    try:
        found = pwd.getpwnam(setting)
    except KeyError:
        raise CannotServe(f"serve.user {setting}: there is no such user") from None
    return _account(found.pw_uid, explicit=True)


def _account(uid: int, *, explicit: bool = False) -> ServiceUser:
    """The user of a number, whether it has an account or not."""
    try:
        found = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return ServiceUser(Identity(uid, uid), explicit=explicit, name="kernelwire")
    return ServiceUser(Identity(uid, found.pw_gid), explicit=explicit, name=found.pw_name, home=found.pw_dir)


def _closed(path: Path, needed: int, identity: Identity) -> str:
    """Why the user cannot do `needed` (bits of a mode) with `path`, of which links are followed; by the modes alone."""
    real = path.resolve()
    on_the_way = [*reversed(path.absolute().parents), *reversed(real.parents)]
    for one, wanted in (*((above, _PASS) for above in on_the_way), (real, needed)):
        if not _allows(one, wanted, identity):
            return f"{one} is closed to user {identity.uid}"
    return ""


def _allows(path: Path, needed: int, identity: Identity) -> bool:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    shift = 6 if found.st_uid == identity.uid else 3 if found.st_gid == identity.gid else 0
    return mode >> shift & needed == needed
