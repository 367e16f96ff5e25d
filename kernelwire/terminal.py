"""The terminal that this process was started on."""

import os


def is_there() -> bool:
    """Whether there is one, and it is not hung up. Source: tty(4), "/dev/tty"."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
