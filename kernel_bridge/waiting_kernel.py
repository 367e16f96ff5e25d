"""A kernel of the pool: ready, of no session, in a working directory of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kernel_bridge.connection import ChannelName
from kernel_bridge.forkserver.client import ForkServer
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_command import Spec
from kernel_bridge.wire import Message

AGE_S = 3600.0
"""older ones are replaced: what they have read at their start (packages, configuration) may be another by now"""
HELD_BYTES = 1 << 20
HELD_MESSAGES = 1000
"""what it may have printed, before a session gets to see it"""
STATE = ("status", "iopub_welcome")
"""messages that say nothing of what it does"""


@dataclass(slots=True, eq=False)
class WaitingKernel:
    """Whoever takes it out of the pool calls `hand_over` or `discard`, once.

    `server`: which has forked it; None: it was started alone. `end` ends a kernel that nobody gets; its second argument
    says whether the working directory goes too.
    """

    spec: Spec
    server: ForkServer | None
    end: Callable[["WaitingKernel", bool], None]
    made_at: float = field(default_factory=time.monotonic)
    opened: Kernel | None = None
    """None until its process was started"""
    _held: list[tuple[ChannelName, Message]] = field(default_factory=list[tuple[ChannelName, Message]])
    _held_bytes: int = 0

    @property
    def kernel(self) -> Kernel:
        assert self.opened is not None  # noqa: S101  it is in the pool
        return self.opened

    @property
    def noisy(self) -> bool:
        """Whether it prints more than what can be kept for a session."""
        return len(self._held) > HELD_MESSAGES or self._held_bytes > HELD_BYTES

    def fault(self, server: ForkServer | None) -> str:
        """Why no session may get it, empty if it may. `server`: which forks its like now."""
        if not self.kernel.responsive:
            return "it has ended or stands still"
        if self.noisy:
            return "it prints without end"
        if self.server is not None and (self.server is not server or not self.server.up_to_date):
            return "its fork server is of yesterday"
        return "it is old" if time.monotonic() - self.made_at > AGE_S else ""

    def deliver(self, channel: ChannelName, message: Message) -> None:
        """Keep what it says, a line of the user's start-up files for instance, for the session that gets it."""
        if channel == "iopub" and message.msg_type not in STATE and not self.noisy:
            self._held.append((channel, message))
            self._held_bytes += len(message.content) + sum(map(len, message.buffers))

    def hand_over(
        self, session: str, adopt_workdir: Callable[[str, int | None], None], deliver: Deliver, on_exit: DeliverExit
    ) -> Kernel:
        """Be the kernel of `session`. `adopt_workdir` has the session's record name the kernel's working directory, and
        its user of the system.

        The record first, then the kernel's: a host that dies between them leaves an empty directory to the session and
        a kernel of nobody. Nothing here awaits. Raises LimitExceeded(disk), OSError: the kernel is ended then.
        """
        kernel = self.kernel
        try:
            adopt_workdir(kernel.kid, kernel.uid)
        except BaseException:
            self.end(self, True)
            raise
        try:
            kernel.hand_over(session, deliver, on_exit)
        except BaseException:
            self.end(self, False)
            raise
        for channel, message in self._held:
            deliver(channel, message)
        self._held.clear()
        return kernel

    def discard(self) -> None:
        """End it, and remove its working directory; returns at once."""
        self.end(self, True)
