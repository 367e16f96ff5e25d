"""Times as the wire contract shows them."""

from datetime import UTC, datetime

from kernel_bridge import clock


def rfc3339(epoch_s: float) -> str:
    """UTC with milliseconds."""
    return clock.rfc3339(datetime.fromtimestamp(epoch_s, UTC))
