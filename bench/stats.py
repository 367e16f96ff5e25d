"""What is said about a set of measured times. Pure."""

from collections.abc import Sequence

from msgspec import Struct


class Summary(Struct, frozen=True):
    """Of one set of times, in milliseconds. Medians and quantiles, because a shared machine makes long tails."""

    count: int
    median_ms: float
    p95_ms: float
    iqr_ms: float
    """distance of the quartiles"""


def summarize(times_s: Sequence[float]) -> Summary:
    """Raises ValueError without times."""
    ordered = sorted(times_s)
    quartiles = quantile(ordered, 0.25), quantile(ordered, 0.75)
    return Summary(
        count=len(ordered),
        median_ms=1000 * quantile(ordered, 0.5),
        p95_ms=1000 * quantile(ordered, 0.95),
        iqr_ms=1000 * (quartiles[1] - quartiles[0]),
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value below which `part` (0..1) of the ascending values lie, by linear interpolation between neighbours.

    Hyndman and Fan's definition 7, which NumPy and R have as default. Raises ValueError without values.
    """
    if not ordered:
        raise ValueError("no values")
    position = part * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def ratio(summary: Summary, base: Summary | None) -> float | None:
    """How many times `base` a median is; None without a base, or with one of 0."""
    return summary.median_ms / base.median_ms if base is not None and base.median_ms > 0 else None
