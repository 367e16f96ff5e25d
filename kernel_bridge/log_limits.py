"""Bounds of one session's log."""

from msgspec import Struct

from kernel_bridge.settings import BridgeSettings


class LogLimits(Struct, frozen=True):
    """Sizes are bytes."""

    segment_bytes: int = 8 << 20
    retention_bytes: int = 256 << 20
    retention_s: float = 7 * 86400.0
    scan_bytes: int = 4 << 20
    """how much of the log one read() looks through at most, so that it returns soon"""

    @classmethod
    def of(cls, settings: BridgeSettings) -> "LogLimits":
        """Those that the settings of a host say."""
        return cls(settings.segment_bytes, settings.retention_bytes, settings.retention_s)
