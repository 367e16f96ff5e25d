"""Limits that the system puts on the service."""

import resource
from collections.abc import Iterator

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
