"""Whether several people may share this service: only if something keeps their kernels apart."""

from kernel_bridge.sandbox import sandboxes
from kernel_bridge.sandbox.probe import probe
from kernel_bridge.sandbox.settings import SandboxSettings
from kernelwire.errors import CannotServe


def require(settings: SandboxSettings, users: int) -> None:
    """Raises CannotServe where code of one user could read the sessions of another. Blocks for seconds at most."""
    if users < 2 or sandboxes.are_separate(settings):
        return
    why = f"this machine cannot: {probe()}" if sandboxes.is_wanted(settings) else "bridge.sandbox.profile is none"
    if "none" in settings.users.values():
        why = "bridge.sandbox.users exempts some of them"
    raise CannotServe(
        f"there are {users} users and nothing keeps their kernels apart, as {why}. Mend that (`kernelwire doctor` says "
        "what is missing), or start with --insecure-shared-uid if all of them trust each other"
    )
