"""Time as the wire shows it: RFC 3339, UTC, milliseconds."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`moment`, which must be in UTC, as `2026-11-22T16:40:30.123Z` (RFC 3339 section 5.6; digits cut, not rounded).

    Always 24 characters, so such strings sort as the times do.
    """
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"
