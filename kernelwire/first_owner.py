"""What root does before it starts a service or a host: the state directory gets the owner that these run as."""

import asyncio
import contextlib
import os

from kernelwire import handed_settings, left_kernels, ownership
from kernelwire.credentials import Identity, is_root
from kernelwire.service_user import ServiceUser
from kernelwire.settings import Resolved


def settle(chosen: Resolved, user: ServiceUser) -> None:
    """See ownership.hand_over; nothing to do for others than root. Raises Failed, OSError."""
    if not is_root():
        return

    def end_kernels(owner: Identity) -> None:
        with contextlib.ExitStack() as closing:
            descriptor = handed_settings.hand_on(chosen.settings)
            closing.callback(os.close, descriptor)
            run_as = owner if owner.uid != 0 else None
            asyncio.run(left_kernels.end(chosen.state_dir, descriptor, run_as))

    ownership.hand_over(chosen.state_dir, user, end_kernels)
