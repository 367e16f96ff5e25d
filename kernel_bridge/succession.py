"""A session's kernels, one after the other: what is known of the last one, and what to say of the next."""

from datetime import datetime

from kernel_bridge.clock import utcnow
from kernel_bridge.event_contents import Notice
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_facts import kernel_info
from kernel_bridge.kernel_results import KernelInfo
from kernel_bridge.results import Exit

RESTARTED = Notice("kernel_restarted", "the kernel was restarted: this is a new one, variables are gone")


class Succession:
    """`info`: of the last kernel that was ready, None before the first; `since`: when it was."""

    def __init__(self) -> None:
        self.info: KernelInfo | None = None
        self.since: datetime = utcnow()
        self._next: Notice | None = None

    def expect(self, notice: Notice) -> None:
        """The kernel is ended on purpose: `notice` is what to say when the next one is ready."""
        self._next = notice

    def adopted(self, kernel: Kernel, ready_at: datetime) -> None:
        """A kernel of a dead host goes on; `ready_at`: when it was ready for the first time."""
        self.since = ready_at
        self.info = kernel_info(kernel.info_content)

    def started(self, kernel: Kernel | None, died: Exit | None) -> Notice | None:
        """A kernel is ready; `died`: how the one before it died, if it did. Returns what to say of it."""
        self.since = utcnow()
        if kernel is not None:
            self.info = kernel_info(kernel.info_content)
        expected, self._next = self._next, None
        if expected is not None or died is None:
            return expected
        return Notice("kernel_started_anew", "the kernel had died: this is a new one, variables are gone", died)
