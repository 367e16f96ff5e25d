"""A file system of its own for a service, small enough to be filled. It needs the right to mount: see `__main__`."""

import subprocess
from pathlib import Path

MOUNT_S = 20.0


def mount(place: Path, size_bytes: int) -> None:
    """Make `place` one, in memory. Raises subprocess.CalledProcessError, OSError."""
    place.mkdir(mode=0o700)
    options = f"size={size_bytes},mode=0700"
    _run("mount", "-t", "tmpfs", "-o", options, "none", str(place))


def unmount(place: Path) -> None:
    """What is in it is gone. Raises subprocess.CalledProcessError, OSError."""
    _run("umount", "--lazy", str(place))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=MOUNT_S)
