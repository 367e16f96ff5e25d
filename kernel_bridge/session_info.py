"""What a session tells of itself."""

from datetime import datetime

from kernel_bridge.clock import rfc3339
from kernel_bridge.desk import Desk
from kernel_bridge.kernel_facts import language_of
from kernel_bridge.kernel_results import KernelInfo
from kernel_bridge.record import SessionRecord
from kernel_bridge.results import Access, KernelState, SessionInfo


def session_info(
    record: SessionRecord,
    desk: Desk,
    kernel_state: KernelState,
    last_activity: datetime,
    kernel: KernelInfo | None,
    access: Access,
) -> SessionInfo:
    """The session as it is now. `kernel`: what its last kernel said, None if none has run under this host; `access`:
    of whoever asks."""
    runner = desk.cells.runner
    running = runner.running
    return SessionInfo(
        session=record.id,
        kernel=record.kernelspec,
        kernel_state=kernel_state,
        closed=record.closed,
        queued=len(runner.queue),
        running=running.id if running is not None else None,
        newest=desk.journal.newest,
        created_at=record.created_at,
        last_activity_at=rfc3339(last_activity),
        language=language_of(kernel),
        lossless=kernel.lossless if kernel is not None else None,
        input_id=running.input_id if running is not None else None,
        cells=len(desk.cells.worksheet),
        owner=record.owner,
        access=access,
        shares=record.shares if access == "owner" else [],
    )
