"""What this machine can do to keep kernels apart."""

from collections.abc import Iterator

from kernel_bridge.sandbox.probe import Layers, probe
from kernel_bridge.sandbox.sandboxes import is_wanted, summary
from kernel_bridge.sandbox.settings import SandboxSettings
from kernelwire.doctor.finding import Finding, fine, warning

MEND = {
    "namespaces": "allow user namespaces: sysctl user.max_user_namespaces above 0; Ubuntu: an AppArmor profile with "
    "`userns`; Docker: --security-opt seccomp=unconfined or a profile that allows unshare and mount, and "
    "--security-opt systempaths=unconfined",
    "landlock": "Linux 5.13 or newer, built with Landlock and started with it in lsm=",
    "seccomp": "x86_64 or aarch64, and a Linux built with seccomp",
}


def check(settings: SandboxSettings) -> Iterator[Finding]:
    """Tries it, for seconds at most."""
    if not is_wanted(settings):
        mend = "unless you are the only user, set bridge.sandbox.profile"
        yield warning("sandbox", "none: code in a cell can do what this user can", mend)
        return
    layers = probe()
    if not layers.missing:
        yield fine("sandbox", summary(settings, layers))
    for layer in layers.missing:
        yield warning("sandbox", f"no {layer.name}: {layer.words}; {_left(layers)}", MEND[layer.name])


def _left(layers: Layers) -> str:
    if layers.level is None:
        return "kernels run without a sandbox"
    return "kernels run in a weaker sandbox" if layers.level == "landlock" else "the other layers are in force"
