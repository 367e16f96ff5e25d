"""Settings on their way from the supervisor to its children: a sealed file in memory, inherited as a descriptor.

So children have exactly what the supervisor resolved: also after a file or the environment has changed, and nothing
of it is on a command line. Source: memfd_create(2), fcntl(2) "File Sealing".
"""

import fcntl
import os

from kernelwire.settings import Settings, decode, encode

_SEALS = fcntl.F_ADD_SEALS, 0x1 | 0x2 | 0x4 | 0x8  # SEAL, SHRINK, GROW, WRITE
_CHUNK = 1 << 16


def hand_on(settings: Settings) -> int:
    """A descriptor for `pass_fds`, good for any number of children; the caller closes it. Raises OSError."""
    descriptor = os.memfd_create("kernelwire-settings", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(encode(settings))
        fcntl.fcntl(descriptor, *_SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def take(descriptor: int) -> Settings:
    """The settings behind the descriptor, which is closed. Raises BadSetting, OSError."""
    try:
        # pread: the place to read from is shared with every other child
        data = b""
        while chunk := os.pread(descriptor, _CHUNK, len(data)):
            data += chunk
    finally:
        os.close(descriptor)
    return decode(data)
