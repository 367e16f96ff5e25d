"""A real file system of two megabytes, for tests that fill it."""

import contextlib
import os
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

SIZE_BYTES = 2 << 20
MOUNT_S = 20.0


@dataclass
class SmallDisk:
    path: Path

    @property
    def free_bytes(self) -> int:
        about = os.statvfs(self.path)
        return about.f_bavail * about.f_frsize

    @property
    def is_full(self) -> bool:
        return self.free_bytes == 0

    @contextlib.contextmanager
    def ballast(self, size: int) -> Generator[None]:
        """A file of this size, or of all that is free if that is less, for the block."""
        path = self.path / "ballast"
        with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
            for _ in range(0, size, 4096):
                file.write(bytes(4096))
        try:
            yield
        finally:
            path.unlink()


@contextlib.contextmanager
def small_disk(place: Path) -> Generator[SmallDisk]:
    """A tmpfs at `place` for the block; who may mount it, see test_full_disk.py."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", str(place)], check=True, timeout=MOUNT_S)
    try:
        disk = SmallDisk(place)
        assert 0 < disk.free_bytes <= SIZE_BYTES
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=MOUNT_S)
