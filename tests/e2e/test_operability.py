"""What operators see of a running service: logs without secrets, metrics, traces."""

import asyncio
import gzip
import json
import os
import signal
import socket
import threading
import time
import typing
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from rpc.methods import REGISTRY
from tests.e2e.client import Client
from tests.e2e.conftest import Starter
from tests.e2e.service import STOP_S, Service

SECRET = "kwSecret"
CRASH = SECRET + "Crash"
NOT_CALLED = ("logout_all",)
"""would end the tokens of the calls after it; it takes no params"""
FAULTS = f"""
import sys
if {{"_host", "_front"}} & set(sys.orig_argv):
    import asyncio
    from kernel_bridge.client import HostClient
    from kernel_bridge.service import Service
    def fail(words): raise ValueError("quoting " + words)
    async def lost(words): fail(words)
    def failing(method, op):
        async def faulty(self, asked, **more):
            if type(asked).__name__ == op and {CRASH!r} in asked.code:
                loop = asyncio.get_running_loop()
                loop.call_soon(fail, asked.code)
                loop.create_task(lost(asked.code))
                fail(asked.code)
            return await method(self, asked, **more)
        return faulty
    if "_host" in sys.orig_argv:
        Service.answer = failing(Service.answer, "Inspect")
    else:
        HostClient.call = failing(HostClient.call, "Complete")
"""


def _events(service: Service) -> list[dict[str, Any]]:
    """Every line of supervisor, front and host is an object."""
    return [json.loads(line) for line in service.log.read_text().splitlines()]


def _params(method: str, *, session: bool) -> dict[str, Any]:
    """Params whose texts are all secrets. What is no text has its default, or is left out."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(REGISTRY[method].params):
        secret = f"{SECRET}{method}{field.name}".replace("_", "")
        kinds = str(field.type)
        if field.name == "session" and not session:
            continue
        if "dict[str" in kinds:
            found[field.encode_name] = {secret: secret}
        elif str in _parts(field.type):
            found[field.encode_name] = secret
    return found


def _parts(kind: Any) -> set[Any]:
    inner = [_parts(part) for part in typing.get_args(kind)]
    return {kind}.union(*inner)


async def test_no_log_has_what_users_send(start: Starter, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Every method, well and badly called; strangers; defects in front and host; a host that dies."""
    faults = tmp_path / "faults"
    faults.mkdir()
    (faults / "sitecustomize.py").write_text(FAULTS)
    service = start(extra={"KERNELWIRE_LOG__LEVEL": "debug", "PYTHONPATH": str(faults)})
    client = await Client(http, service).log_in()
    await _good_calls(client)
    for method in sorted(set(REGISTRY) - set(NOT_CALLED)):
        for session in (False, True):
            params = _params(method, session=session)
            params |= {"wait": 0} if method in ("evaluate", "poll_output") else {}
            call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            await client.post(call, X_Request_Id="r-1")
            await client.post({**call, "params": {**params, SECRET: SECRET}})
            await Client(http, service, token=SECRET).post(call)
        if method == "logout":
            client = await client.log_in()
    await _strangers(client)

    for method in ("complete", "inspect"):
        await client.fails(-32603, method, code=f"{CRASH}.{SECRET}")
    for word in ("_host", "_front"):
        child = service.one(word)
        os.kill(child.pid, signal.SIGKILL)
        assert await asyncio.to_thread(child.wait, 10)
    async with http.get(f"{service.url}/healthz") as answer:  # by the next front, which waits for the next host
        assert answer.status == 200
    await asyncio.to_thread(service.press_ctrl_c)
    assert await asyncio.to_thread(service.process.wait, STOP_S) == 0

    events = _events(service)
    text = service.log.read_text()
    leaks = [line for line in text.splitlines() if SECRET in line or "Traceback" in line]
    assert not leaks
    assert not [secret for secret in service.private if secret in text]
    found = {(event["process"], event["event"]) for event in events}
    assert {
        ("front-1", "rpc.call"),
        ("front-1", "rpc.failure"),
        ("front-1", "loop_exception"),
        ("host", "call_failed"),
        ("host", "loop_exception"),
        ("serve", "child_ended"),
    } <= found
    failed = next(event for event in events if event["event"] == "call_failed")
    answered = [event for event in events if event.get("request_id") == failed["request_id"]]
    assert {event["process"] for event in answered} == {"front-1", "host"}
    assert failed["session"] == client.session.partition(".")[2][:8]
    assert failed["trace"].endswith("builtins.ValueError")


async def _good_calls(client: Client) -> None:
    code = f"{SECRET} = 1; {SECRET}"
    assert (await client.call("evaluate", code=code, metadata={SECRET: 1}, cell=f"{SECRET}cell"))["end"] == "ok"
    await client.call("evaluate", code=f"{SECRET}2 = input('{SECRET}')", wait=0, allow_stdin=True)
    asked = await client.until("input_request")
    await client.call("input_reply", id=asked.content["id"], value=f"{SECRET}value")
    assert (await client.call("evaluate", code=f"raise ValueError('{SECRET}')"))["end"] == "error"
    assert (await client.call("complete", code=f"{SECRET}."))["cursor_end"] >= 0
    assert "found" in await client.call("inspect", code=f"{SECRET}?")


async def _strangers(client: Client) -> None:
    url = client.service.url
    await client.post(b'{"jsonrpc": "2.0", "method": "%s' % SECRET.encode())
    await client.post({"jsonrpc": "2.0", "method": SECRET, "id": SECRET})
    await client.post({"jsonrpc": "2.0", "method": "whoami", "id": 1}, traceparent=SECRET, X_Request_Id=f"{SECRET} !")
    for path in (f"/{SECRET}?token={SECRET}", f"/rpc?token={SECRET}", f"/healthz?{SECRET}"):
        async with client.http.get(url + path) as answer:
            await answer.read()

    def raw() -> None:
        for request in (
            f"GET /{SECRET} {SECRET}\r\n\r\n",
            f"{SECRET}\x00: {SECRET}\r\n\r\n",
            f"GET / HTTP/1.1\r\n{SECRET}",
        ):
            with socket.create_connection(("127.0.0.1", client.service.port), timeout=10) as stranger:
                stranger.sendall(request.encode())
                stranger.shutdown(socket.SHUT_WR)
                stranger.recv(4096)

    await asyncio.to_thread(raw)


def _scrape(service: Service) -> dict[str, float]:
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert service.password not in text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {f"{sample.name}{_labels(sample.labels) or ''}": sample.value for sample in samples}


def _labels(labels: dict[str, str]) -> list[tuple[str, str]]:
    """Without the front's name."""
    return sorted(item for item in labels.items() if item[0] != "worker")


async def test_metrics(start: Starter, http: aiohttp.ClientSession) -> None:
    service = start()
    client = await Client(http, service).log_in()
    assert (await client.call("evaluate", code="1 + 1"))["end"] == "ok"
    found = await asyncio.to_thread(_scrape, service)
    expected = {
        "kernelwire_host_up": 1,
        "kernelwire_sessions[('state', 'open')]": 1,
        "kernelwire_kernels[('state', 'idle')]": 1,
        "kernelwire_cells_total[('end', 'ok')]": 1,
        "kernelwire_calls_total[('method', 'evaluate'), ('outcome', 'ok')]": 1,
    }
    assert expected.items() <= found.items()
    assert found["kernelwire_events_stored_total"] > 3
    assert client.session.partition(".")[2] not in str(found)

    host = service.one("_host")
    os.kill(host.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        away = await asyncio.to_thread(_scrape, service)
        assert time.monotonic() - begun < 5
    finally:
        os.kill(host.pid, signal.SIGCONT)
    assert away["kernelwire_host_up"] == 0
    assert away["kernelwire_calls_total[('method', 'evaluate'), ('outcome', 'ok')]"] == 1
    assert "kernelwire_events_stored_total" not in away
    await asyncio.to_thread(service.stop)


class Collector:
    """Takes OTLP over HTTP on loopback and keeps the spans, with the process that sent them."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        taken = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                taken.extend(_received(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the test's standard error."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, name="collector")
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def _received(body: bytes) -> Iterator[tuple[str, Any]]:
    request: Any = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        named = {item.key: item.value.string_value for item in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield named["kernelwire.process"], span


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


async def test_one_evaluate_is_one_trace(start: Starter, http: aiohttp.ClientSession, collector: Collector) -> None:
    service = start(extra={"KERNELWIRE_OTEL__ENDPOINT": collector.url})
    client = await Client(http, service).log_in()
    trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    code = f"import time; time.sleep(0.2)  # {SECRET}"
    call = {"jsonrpc": "2.0", "id": 1, "method": "evaluate", "params": {"code": code}}
    answer = await client.post(call, traceparent=f"00-{trace}-{caller}-01")
    assert json.loads(answer.body)["result"]["end"] == "ok"
    await asyncio.to_thread(service.stop)  # what is left is sent

    spans = {span.name: (process, span) for process, span in collector.spans if span.trace_id.hex() == trace}
    assert {name: process for name, (process, _) in spans.items()} == {
        "rpc.call": "front",
        "host.evaluate": "host",
        "cell.queue": "host",
        "cell.run": "host",
        "kernel.execute": "host",
    }
    above = {
        "rpc.call": caller,
        "host.evaluate": spans["rpc.call"][1].span_id.hex(),
        "cell.queue": spans["host.evaluate"][1].span_id.hex(),
        "cell.run": spans["host.evaluate"][1].span_id.hex(),
        "kernel.execute": spans["cell.run"][1].span_id.hex(),
    }
    assert {name: span.parent_span_id.hex() for name, (_, span) in spans.items()} == above
    kernel, run = spans["kernel.execute"][1], spans["cell.run"][1]
    assert run.start_time_unix_nano <= kernel.start_time_unix_nano
    assert kernel.end_time_unix_nano - kernel.start_time_unix_nano > 0.2e9
    assert kernel.end_time_unix_nano <= run.end_time_unix_nano
    assert SECRET not in str(collector.spans)
    assert not [secret for secret in service.private if secret in str(collector.spans)]


def test_tracing_to_nobody_costs_no_call(start: Starter) -> None:
    """A collector that is not there is said in the log, and holds neither calls nor the end."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    service = start(extra={"KERNELWIRE_OTEL__ENDPOINT": f"http://127.0.0.1:{port}"})
    with urllib.request.urlopen(f"{service.url}/healthz", timeout=10) as answer:
        assert answer.status == 200
    service.stop()
