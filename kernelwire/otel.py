"""Spans by OpenTelemetry. Imported only where tracing is on, as the extra `otel` may be missing."""

import threading

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kernel_bridge.tracing import Attribute
from kernelwire import __version__

EXPORT_S = 5.0
CLOSE_S = 2.0
"""how long `close` waits for the collector"""
_TRACEPARENT = "traceparent"
_PREFIX = "kernelwire."


class OtelSpan:
    """See kernel_bridge.tracing.Span. The names of facts get the prefix `kernelwire.`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        place = self._span.get_span_context()
        trace_id, span_id = trace.format_trace_id(place.trace_id), trace.format_span_id(place.span_id)
        return f"00-{trace_id}-{span_id}-{int(place.trace_flags):02x}"

    def end(self, *, failed: bool = False, **facts: Attribute) -> None:
        self._span.set_attributes(_named(facts))
        if failed:
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


class OtelTracer:
    """See kernel_bridge.tracing.Tracer. Its provider is its own: nothing global is set."""

    def __init__(self, processor: SpanProcessor, process: str) -> None:
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before ours
        named = Resource.create()
        ours = Resource({"service.name": "kernelwire", "service.version": __version__, "kernelwire.process": process})
        unnamed = str(named.attributes.get("service.name", "")).startswith("unknown_service")
        resource = named.merge(ours) if unnamed else ours.merge(named)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("kernelwire", __version__)
        self._context = TraceContextTextMapPropagator()

    @classmethod
    def exporting(cls, endpoint: str | None, process: str) -> "OtelTracer":
        """To the collector at `endpoint`, or where the standard variables say; from a thread, in batches."""
        url = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
        return cls(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=EXPORT_S)), process)

    def start(self, name: str, parent: str | None, **facts: Attribute) -> OtelSpan:
        above = self._context.extract({_TRACEPARENT: parent} if parent else {})
        return OtelSpan(self._tracer.start_span(name, context=above, attributes=_named(facts)))

    def close(self) -> None:
        """Send what is left; a collector that does not answer holds nobody longer than CLOSE_S."""
        closing = threading.Thread(target=self._provider.shutdown, name="otel-shutdown", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


def _named(facts: dict[str, Attribute]) -> dict[str, Attribute]:
    return {_PREFIX + name: value for name, value in facts.items()}
