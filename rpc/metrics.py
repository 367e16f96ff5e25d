"""What a front counts, for Prometheus. Labels are methods, outcomes and states: never a user, a session or a token."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from kernel_bridge.stats import Stats

UNKNOWN = "?"
"""the method of a call that names none of ours"""
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_KERNEL_STATES = ("starting", "idle", "busy", "dead", "pooled")
_SESSION_STATES = ("open", "closed")


@dataclass(frozen=True, slots=True)
class HostFigures:
    """The host's answer to one scrape, and how long it took."""

    stats: Stats
    answer_s: float


@dataclass(frozen=True, slots=True)
class FrontFigures:
    """What a front knows at the moment of a scrape."""

    long_polls: int
    requests: int
    database_up: bool
    websockets: int = 0
    subscriptions: int = 0
    unsent_bytes: int = 0
    """what WebSockets hold for clients that read slowly"""


class Metrics:
    """One front's metrics, in a registry of their own. Counting costs microseconds; `render` some milliseconds."""

    def __init__(self, version: str, worker: str = "") -> None:
        """`worker`: the front's name, if there may be several: each of its figures gets it as a label."""
        self._worker = worker
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(namespace="kernelwire_front", registry=self._registry)
        self._calls = Counter(
            "kernelwire_calls",
            "Calls that were answered, by method and outcome: ok, a JSON-RPC error code, or gone (nobody waited).",
            ("method", "outcome"),
            registry=self._registry,
        )
        self._durations = Histogram(
            "kernelwire_call_duration_seconds",
            "How long calls took, their own waiting (evaluate, poll_output) included.",
            ("method",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._responses = Counter(
            "kernelwire_http_responses", "HTTP responses by status.", ("status",), registry=self._registry
        )
        info = Gauge("kernelwire_front_info", "The front's version.", ("version",), registry=self._registry)
        info.labels(version).set(1)
        self._counts: dict[tuple[str, str | int], Counter] = {}
        self._times: dict[str, Histogram] = {}
        self._answered: dict[int, Counter] = {}

    def call(self, method: str, outcome: str | int, duration_s: float) -> None:
        """Count one call. `method` is a name of the registry, or UNKNOWN; `outcome` as in the log."""
        count = self._counts.get((method, outcome))
        if count is None:
            count = self._counts[method, outcome] = self._calls.labels(method, str(outcome))
        count.inc()
        time = self._times.get(method)
        if time is None:
            time = self._times[method] = self._durations.labels(method)
        time.observe(duration_s)

    def response(self, status: int) -> None:
        """Count one HTTP response."""
        count = self._answered.get(status)
        if count is None:
            count = self._answered[status] = self._responses.labels(str(status))
        count.inc()

    def render(self, accept: str, front: FrontFigures, host: HostFigures | None) -> tuple[bytes, str]:
        """Everything in the text format that `accept` asks for, and its content type. `host` is None while it is away.

        Source: Prometheus, "Exposition formats".
        """
        encode, content_type = choose_encoder(accept)
        return encode(_Scrape(self._registry, self._worker, front, host)), content_type


class _Scrape(Collector):
    """One answer: what the front counted and knows, under its name, and the host's figures, the same at each front."""

    def __init__(self, registry: CollectorRegistry, worker: str, front: FrontFigures, host: HostFigures | None) -> None:
        self._registry = registry
        self._worker = worker
        self._front = front
        self._host = host

    def collect(self) -> Iterator[Metric]:
        for metric in (*self._registry.collect(), *_of_front(self._front, self._host)):
            if self._worker:
                name = {"worker": self._worker}
                metric.samples = [sample._replace(labels={**sample.labels, **name}) for sample in metric.samples]
            yield metric
        if self._host is not None:
            yield from _of_host(self._host.stats)


def _of_front(front: FrontFigures, host: HostFigures | None) -> Iterator[Metric]:
    yield _gauge("long_polls", "Calls that wait at this moment.", front.long_polls)
    yield _gauge(
        "http_requests_under_way", "HTTP requests that are being answered, WebSockets among them.", front.requests
    )
    yield _gauge("websockets", "WebSockets that are open.", front.websockets)
    yield _gauge("subscriptions", "Subscriptions of all WebSockets.", front.subscriptions)
    yield _gauge("websocket_unsent_bytes", "Held for clients that read slowly.", front.unsent_bytes)
    yield _gauge("database_up", "Whether the database of users answered last time.", int(front.database_up))
    yield _gauge("host_up", "Whether the host answered this scrape.", int(host is not None))
    if host is not None:
        yield _gauge("host_answer_seconds", "How long the host took to answer this scrape.", host.answer_s)


def _of_host(stats: Stats) -> Iterator[Metric]:
    info = GaugeMetricFamily("kernelwire_host_info", "The host's version.", labels=("version",))
    info.add_metric((stats.version,), 1)
    yield info
    yield _gauge("host_start_time_seconds", "When the host started, in seconds since 1970.", stats.started_at)
    yield _by_state("sessions", "Sessions of all users.", stats.sessions, _SESSION_STATES)
    yield _by_state(
        "kernels",
        "Kernels of all sessions by state, and those that wait for one (pooled).",
        stats.kernels,
        _KERNEL_STATES,
    )
    yield _gauge("cells_queued", "Cells that wait for their turn, in all sessions.", stats.queued)
    cells = CounterMetricFamily("kernelwire_cells", "Cells that ended, by their end.", labels=("end",))
    for end, count in stats.cells.items():
        cells.add_metric((end,), count)
    yield cells
    for what, words, events, size in (
        ("stored", "written to the logs of sessions", stats.stored_events, stats.stored_bytes),
        ("truncated", "removed from the logs by retention", stats.truncated_events, stats.truncated_bytes),
        ("dropped", "that could not be stored", stats.dropped_events, stats.dropped_bytes),
    ):
        yield CounterMetricFamily(f"kernelwire_events_{what}", f"Events {words}.", events)
        yield CounterMetricFamily(f"kernelwire_event_bytes_{what}", f"Bytes of events {words}.", size)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"kernelwire_{name}", words, value)


def _by_state(name: str, words: str, counts: dict[str, int], states: Iterable[str]) -> Metric:
    family = GaugeMetricFamily(f"kernelwire_{name}", words, labels=("state",))
    for state in states:
        family.add_metric((state,), counts.get(state, 0))
    return family
