"""Kernels of a host that died: ended before a new host serves, so that no two hosts ever own one session."""

import asyncio
import logging
import shutil
from pathlib import Path

from kernel_bridge import kernel_process

log = logging.getLogger("kernelwire.bridge.leftovers")


async def end(kernels: Path) -> int:
    """End every kernel recorded below `kernels` and remove the records; returns how many still ran. Bounded."""
    directories = await asyncio.to_thread(_directories, kernels)
    ended = await asyncio.gather(*(_end_one(path) for path in directories))
    return sum(ended)


def _directories(kernels: Path) -> list[Path]:
    return [path for path in kernels.iterdir() if path.is_dir()] if kernels.is_dir() else []


async def _end_one(directory: Path) -> bool:
    try:
        record = await kernel_process.end_leftover(directory)
    except (OSError, TimeoutError):  # one bad record, or a process that cannot die, must not keep a host from starting
        log.exception("leftover_kernel_not_ended kernel=%s", directory.name)
        return False
    if record is not None:
        log.warning("leftover_kernel_ended kernel=%s", directory.name)
    await asyncio.to_thread(shutil.rmtree, directory, True)
    return record is not None
