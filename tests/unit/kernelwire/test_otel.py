"""One evaluate as a tree of spans, and that nothing of it is there when tracing is off."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kernel_bridge import hop, tracing
from kernel_bridge.errors import CellNotFound
from kernelwire.otel import OtelTracer
from kernelwire.tracing import OtelSettings, TracingUnavailable, open_tracer
from rpc.context import Services
from rpc.dispatch import Dispatcher
from rpc.methods import REGISTRY
from tests.unit.rpc.fakes import SESSION, TOKEN, FakeAuthenticator, FakeBridge

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
CALLER = hop.Caller("u1", "ann")


class Traced:
    """A tracer whose spans stay here."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer = OtelTracer(SimpleSpanProcessor(self.exporter), "front")

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.tracer.close()


def _parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def _id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


async def _front(traced: Traced | None, *, traceparent: str | None = PARENT, method: str = "evaluate") -> FakeBridge:
    bridge = FakeBridge()
    tracer = traced.tracer if traced is not None else None
    services = Services.of(bridge, FakeAuthenticator(), "0", tracer=tracer)
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "%s", "params": {"code": "marker_code"}}' % method.encode()
    await Dispatcher(REGISTRY, services).dispatch(body, [f"Bearer {TOKEN}"], "r1", traceparent)
    return bridge


async def test_the_front_goes_on_with_the_clients_trace(traced: Traced) -> None:
    bridge = await _front(traced)
    span = traced.spans()["rpc.call"]
    context = span.get_span_context()
    assert context is not None
    assert f"{context.trace_id:032x}" == TRACE
    assert _parent(span) == 0xB7AD6B7169203331
    assert dict(span.attributes or {}) == {
        "kernelwire.method": "evaluate",
        "kernelwire.request_id": "r1",
        "kernelwire.session": SESSION.partition(".")[2][:8],
        "kernelwire.outcome": "ok",
    }
    assert span.status.is_unset
    assert bridge.asked[0].traceparent == f"00-{TRACE}-{context.span_id:016x}-01"


@pytest.mark.parametrize("traceparent", [None, "", "00-nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", "x" * 5000])
async def test_a_trace_of_its_own_without_a_good_parent(traced: Traced, traceparent: str | None) -> None:
    await _front(traced, traceparent=traceparent)
    assert traced.spans()["rpc.call"].parent is None


async def test_an_unsampled_trace_stays_unsampled(traced: Traced) -> None:
    bridge = await _front(traced, traceparent=PARENT.removesuffix("01") + "00")
    assert not traced.spans()
    assert (bridge.asked[0].traceparent or "").endswith("-00")


async def test_an_error_fails_its_span(traced: Traced) -> None:
    await _front(traced, method="get_cell")
    span = traced.spans()["rpc.call"]
    assert not span.status.is_ok
    assert (span.attributes or {})["kernelwire.outcome"] == -32602


async def test_without_a_tracer_nothing_is_passed_on() -> None:
    bridge = await _front(None)
    assert bridge.asked[0].traceparent is None


async def test_the_spans_of_a_cell(traced: Traced) -> None:
    made: list[tracing.CellTrace | None] = []

    async def answer(_: hop.AnyRequest) -> bytes:
        made.append(tracing.CellTrace.begin())
        return b""

    asked = hop.Evaluate(caller=CALLER, session=SESSION, code="marker_code", traceparent=PARENT, request_id="r1")
    await tracing.traced(traced.tracer, asked, answer)
    cell = made[0]
    assert cell is not None
    cell.running()
    for state in ("busy", "idle"):
        cell.status(state)
    cell.ended("ok")
    spans = traced.spans()
    assert set(spans) == {"host.evaluate", "cell.queue", "cell.run", "kernel.execute"}
    assert _parent(spans["cell.queue"]) == _parent(spans["cell.run"]) == _id(spans["host.evaluate"])
    assert _parent(spans["kernel.execute"]) == _id(spans["cell.run"])
    assert (spans["cell.run"].attributes or {})["kernelwire.end"] == "ok"
    assert "marker_code" not in "".join(span.to_json() for span in spans.values())
    assert tracing.CellTrace.begin() is None  # the call is over


async def test_a_cell_that_never_ran_or_never_became_idle(traced: Traced) -> None:
    cancelled = tracing.CellTrace(traced.tracer, PARENT)
    cancelled.ended("cancelled")
    assert list(traced.spans()) == ["cell.queue"]
    assert not traced.spans()["cell.queue"].status.is_ok
    died = tracing.CellTrace(traced.tracer, PARENT)
    died.running()
    died.status("busy")
    died.ended("kernel_died")
    assert {"cell.run", "kernel.execute"} <= set(traced.spans())
    assert (traced.spans()["cell.run"].attributes or {})["kernelwire.end"] == "kernel_died"


async def test_the_host_follows_only_what_the_front_traces(traced: Traced) -> None:
    async def answer(_: hop.AnyRequest) -> bytes:
        assert tracing.CellTrace.begin() is None
        return b"1"

    asked = hop.ListKernels(caller=CALLER)
    assert await tracing.traced(traced.tracer, asked, answer) == b"1"
    assert await tracing.traced(None, hop.ListKernels(caller=CALLER, traceparent=PARENT), answer) == b"1"
    assert not traced.spans()


async def test_a_failed_call_of_the_host_says_its_class_only(traced: Traced) -> None:
    async def answer(_: hop.AnyRequest) -> bytes:
        raise CellNotFound("marker_cell")

    asked = hop.GetCell(caller=CALLER, session=SESSION, cell="marker_cell", traceparent=PARENT)
    with pytest.raises(CellNotFound):
        await tracing.traced(traced.tracer, asked, answer)
    span = traced.spans()["host.get_cell"]
    assert (span.attributes or {})["kernelwire.error"] == "CellNotFound"
    assert "marker_cell" not in span.to_json()


@pytest.mark.parametrize(
    ("settings", "environment", "on"),
    [
        (OtelSettings(), {}, False),
        (OtelSettings(endpoint="http://127.0.0.1:9"), {}, True),
        (OtelSettings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        (OtelSettings(), {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        (OtelSettings(endpoint="http://127.0.0.1:9"), {"OTEL_SDK_DISABLED": "True"}, False),
        (OtelSettings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_what_switches_it_on(settings: OtelSettings, environment: dict[str, str], on: bool) -> None:
    tracer = open_tracer(settings, "front", environment)
    assert (tracer is not None) == on
    if tracer is not None:
        tracer.close()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("kernelwire.tracing._PACKAGE", "opentelemetry.exporter.no_such_package")
    with pytest.raises(TracingUnavailable, match=r"pip install 'kernelwire\[otel\]'"):
        open_tracer(OtelSettings(endpoint="http://127.0.0.1:9"), "front", {})
    # the variables are often there for other programs
    assert open_tracer(OtelSettings(), "front", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) is None
    assert "tracing_unavailable" in caplog.text


UNTRACED = """
import sys
import kernelwire.front, kernel_bridge.host, kernelwire.cli
from kernelwire.tracing import OtelSettings, open_tracer
assert open_tracer(OtelSettings(), "front", {}) is None
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_nothing_is_imported_while_it_is_off() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", UNTRACED], capture_output=True, text=True, timeout=60, cwd=root, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
