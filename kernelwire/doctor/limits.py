"""Limits that the system puts on the service, and those that the service can put on kernels."""

import resource
from collections.abc import Iterator
from pathlib import Path

from kernel_bridge import cgroup_places, limits, privileges
from kernel_bridge.cgroup_places import NoCgroups
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.sandbox import sandboxes
from kernel_bridge.sandbox.settings import SandboxSettings
from kernel_bridge.session_users import are_for_all, open_users
from kernelwire.doctor.finding import Finding, fine, warning

DESCRIPTORS_PER_KERNEL = 12
ENOUGH_DESCRIPTORS = 4096


def check() -> Iterator[Finding]:
    """The host raises its soft limit to the hard one, which therefore counts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        yield fine("open files", "no limit")
        return
    text = f"at most {hard}, enough for about {hard // DESCRIPTORS_PER_KERNEL} kernels at once"
    if hard < ENOUGH_DESCRIPTORS:
        mend = f"raise the hard limit: `ulimit -Hn {ENOUGH_DESCRIPTORS}` as root, or LimitNOFILE= of a systemd unit"
        yield warning("open files", text, mend)
    else:
        yield fine("open files", text)


def of_kernels(settings: LimitSettings, sandbox: SandboxSettings, state_dir: Path) -> Iterator[Finding]:
    """What stands behind `bridge.limits`, for a service that starts from where the doctor does."""
    users, missing = open_users(state_dir, settings, sandbox)
    if users is not None:
        yield fine("kernel users", f"each session has a user of its own, from {settings.uid_base} on")
    elif settings.uid_base is not None and privileges.has():
        mend = "install and keep state where other users may enter (docs/how-to/limits.md), or unset the setting"
        yield warning("kernel users", f"kernels run as the user of the service: {missing}", mend)
    else:
        yield fine("kernel users", f"kernels run as the user of the service: {missing}")
    try:
        places, why = cgroup_places.find(settings.cgroup), ""
    except NoCgroups as error:
        places, why = None, str(error)
    controllers = frozenset(places.parents) if places is not None else frozenset[str]()
    if places is not None:
        text = f"by cgroups of version {places.version} ({', '.join(sorted(controllers))}) and limits of each process"
    else:
        text = f"by limits of each process only; no cgroups: {why}"
    counts_processes = (users is not None and are_for_all(sandbox)) or sandboxes.count_processes(sandbox)
    short = limits.shortfalls(settings, by_cgroup=controllers, counts_processes=counts_processes)
    defaults = LimitSettings(cgroup=settings.cgroup, uid_base=settings.uid_base, uid_count=settings.uid_count)
    if settings == defaults or not short:  # nobody has asked for more
        yield fine("kernel limits", "; ".join([text, *short]))
        return
    mend = (
        "run as root, or by systemd with Delegate=yes, or name a cgroup by bridge.limits.cgroup (docs/how-to/limits.md)"
    )
    yield warning("kernel limits", "; ".join([text, *short]), mend)
