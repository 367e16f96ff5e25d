"""Who the service would be to the system."""

import os
from collections.abc import Iterator

from kernelwire import service_user
from kernelwire.credentials import is_root
from kernelwire.doctor.finding import Finding, fine, problem, warning
from kernelwire.errors import CannotServe
from kernelwire.settings import Resolved

_MEND = (
    "install for all users (/opt, /usr/local) and keep the state where others may pass (/var/lib/kernelwire), or start "
    "it as an ordinary user"
)


def check(chosen: Resolved) -> Iterator[Finding]:
    try:
        user = service_user.choose(chosen.settings.serve.user, chosen.state_dir)
    except CannotServe as error:
        yield problem("user", str(error), "mend that, or set serve.user to another one")
        return
    why = service_user.stranger(chosen.state_dir, user)
    if why:
        yield problem("user", f"root's own service does not start: {why}", "or let that user start it, and doctor")
    elif user.as_root:
        yield warning("user", f"the service runs as root: {user.as_root}", _MEND)
    elif user.identity is not None:
        yield fine("user", f"started by root, the service runs as user {user.identity.uid}")
    elif not is_root():
        yield fine("user", f"the service runs as user {os.geteuid()}")
