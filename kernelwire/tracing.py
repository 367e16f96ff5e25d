"""Whether calls are traced, and where the traces go. OpenTelemetry itself is imported only if they are."""

import importlib.util
import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from msgspec import Struct

from kernel_bridge.tracing import Tracer
from kernelwire.errors import Failed

log = logging.getLogger("kernelwire.tracing")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PACKAGE = "opentelemetry.exporter.otlp.proto.http"


class OtelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Traces, by OTLP over HTTP. Needs the extra: `pip install kernelwire[otel]`."""

    endpoint: str | None = None
    """base URL of a collector, such as http://127.0.0.1:4318; without it the standard OTEL_* variables decide"""


class TracingUnavailable(Failed):
    """Says what to install."""


def open_tracer(settings: OtelSettings, process: str, environment: Mapping[str, str] = os.environ) -> Tracer | None:
    """The tracer of a front or host, None while tracing is not switched on; whoever opened it closes it.

    The standard variables switch it on by OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT, and off by OTEL_SDK_DISABLED=true or
    OTEL_TRACES_EXPORTER=none. Raises TracingUnavailable if our own setting asks for it and the extra is missing; the
    variables are often there for other programs, so with them the log says it.
    Source: OpenTelemetry, "Environment Variable Specification".
    """
    if not _switched_on(settings, environment):
        return None
    if not _installed():
        words = "tracing needs the extra `otel`: pip install 'kernelwire[otel]'"
        if settings.endpoint:
            raise TracingUnavailable(f"otel.endpoint: {words}")
        log.warning("tracing_unavailable advice=%s", words)
        return None
    from kernelwire.otel import OtelTracer

    return OtelTracer.exporting(settings.endpoint, process)


@contextmanager
def opened_tracer(settings: OtelSettings, process: str) -> Generator[Tracer | None]:
    """`open_tracer` for the block."""
    tracer = open_tracer(settings, process)
    try:
        yield tracer
    finally:
        if tracer is not None:
            tracer.close()


def _switched_on(settings: OtelSettings, environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if settings.endpoint:
        return True
    if environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def _installed() -> bool:
    try:
        return importlib.util.find_spec(_PACKAGE) is not None
    except ModuleNotFoundError:
        return False
