"""What one run of the benchmark found; also the shape of the JSON file."""

from msgspec import Struct

from bench.stats import Summary


class LatencyRow(Struct, frozen=True):
    """One operation on one system."""

    operation: str
    system: str
    times: Summary
    to_stock: float | None
    """median as a multiple of raw 0MQ on a stock kernel"""
    to_launcher: float | None
    """median as a multiple of raw 0MQ on kernelwire's launcher"""


class CpuRow(Struct, frozen=True):
    """CPU seconds for 1,000 evaluations."""

    system: str
    evaluations: int
    """how many were measured"""
    server_s: float
    """of all processes between client and kernel; 0 for raw 0MQ"""
    kernel_s: float


class FloodRow(Struct, frozen=True):
    """Many flushed prints in one cell, received while it runs."""

    system: str
    lines: int
    lost: int
    messages: int
    """in how many stream events they came"""
    in_order: bool
    """of those that came"""
    wall_s: float
    server_cpu_s: float
    kernel_cpu_s: float


class Report(Struct, frozen=True):
    """Rows of measures that were not asked for are missing; `noise` is missing without latency rows."""

    versions: dict[str, str]
    machine: str
    cpus: int
    seed: int
    rounds: int
    """that were measured"""
    systems: dict[str, str]
    """name: what it is"""
    latency: list[LatencyRow]
    cpu: list[CpuRow]
    flood: list[FloodRow]
    noise: Summary | None
    took_s: float
