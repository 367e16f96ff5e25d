"""Time as the wire shows it: RFC 3339, UTC, milliseconds."""

import time
from datetime import UTC, datetime


class WallClock:
    """Tells the present moment, as rfc3339() shows it; formatted once a second, for those who ask for each message."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def stamp(self) -> str:
        """As rfc3339(utcnow())."""
        second, millisecond = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second:
            self._text = datetime.fromtimestamp(second, UTC).isoformat()[:19]
            self._second = second
        return f"{self._text}.{millisecond:03d}Z"


def utcnow() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`moment`, which must be in UTC, as `2026-11-22T16:40:30.123Z` (RFC 3339 section 5.6; digits cut, not rounded).

    Always 24 characters, so such strings sort as the times do.
    """
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"
