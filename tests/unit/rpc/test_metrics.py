"""What a scrape says: of this front, of the host, and who may ask."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from kernel_bridge import hop
from kernel_bridge.errors import HostUnavailable
from kernel_bridge.stats import Stats
from rpc.app import create_app
from rpc.metrics import FrontFigures, HostFigures, Metrics
from tests.unit.rpc.fakes import TOKEN, Front, turns

Client = TestClient[web.Request, web.Application]
STATS = Stats(
    version="9.8",
    started_at=1e9,
    sessions={"open": 3, "closed": 1},
    kernels={"idle": 2, "busy": 1, "starting": 0},
    queued=7,
    cells={"ok": 20, "kernel_died": 1},
    stored_events=100,
    stored_bytes=10_000,
    truncated_events=10,
    truncated_bytes=900,
    dropped_events=2,
    dropped_bytes=50,
)


@pytest.fixture
def front() -> Front:
    front = Front.of()
    front.bridge.answers[hop.Stats] = STATS
    return front


@pytest.fixture
async def client(front: Front) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app(front.services))) as client:
        yield client


async def _scraped(client: Client) -> dict[str, float]:
    """Samples by name and labels, as the exposition format writes them."""
    answer = await client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(await answer.text()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def _call(client: Client, method: str, **params: object) -> None:
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    assert (await client.post("/rpc", data=body, headers=headers)).status == 200


async def test_calls_are_counted_by_method_and_outcome(client: Client) -> None:
    await _call(client, "whoami")
    await _call(client, "whoami")
    await _call(client, "evaluate", code=1)
    await _call(client, "no_such_method_of_a_stranger")
    await client.post("/rpc", data=b"{", headers={"Content-Type": "application/json"})
    await client.post("/rpc", data=b"{}", headers={"Content-Type": "text/plain"})
    found = await _scraped(client)
    calls = {name: value for name, value in found.items() if name.startswith("kernelwire_calls_total")}
    assert calls == {
        "kernelwire_calls_total{method=whoami,outcome=ok}": 2,
        "kernelwire_calls_total{method=evaluate,outcome=-32602}": 1,
        "kernelwire_calls_total{method=?,outcome=-32601}": 1,
        "kernelwire_calls_total{method=?,outcome=-32700}": 1,
    }
    assert found["kernelwire_call_duration_seconds_count{method=whoami}"] == 2
    assert 0 < found["kernelwire_call_duration_seconds_sum{method=whoami}"] < 60
    assert found["kernelwire_http_responses_total{status=200}"] == 5
    assert found["kernelwire_http_responses_total{status=415}"] == 1
    assert not any("stranger" in name for name in found)


async def test_the_host_tells_its_figures(client: Client, front: Front) -> None:
    found = await _scraped(client)
    expected = {
        "kernelwire_host_up": 1,
        "kernelwire_host_info{version=9.8}": 1,
        "kernelwire_front_info{version=0.0}": 1,
        "kernelwire_host_start_time_seconds": 1e9,
        "kernelwire_sessions{state=open}": 3,
        "kernelwire_sessions{state=closed}": 1,
        "kernelwire_kernels{state=idle}": 2,
        "kernelwire_kernels{state=busy}": 1,
        "kernelwire_kernels{state=starting}": 0,
        "kernelwire_kernels{state=dead}": 0,
        "kernelwire_cells_queued": 7,
        "kernelwire_cells_total{end=ok}": 20,
        "kernelwire_cells_total{end=kernel_died}": 1,
        "kernelwire_events_stored_total": 100,
        "kernelwire_event_bytes_stored_total": 10_000,
        "kernelwire_events_truncated_total": 10,
        "kernelwire_event_bytes_truncated_total": 900,
        "kernelwire_events_dropped_total": 2,
        "kernelwire_event_bytes_dropped_total": 50,
        "kernelwire_database_up": 1,
    }
    assert expected.items() <= found.items()
    assert 0 <= found["kernelwire_host_answer_seconds"] < 60
    assert found["kernelwire_front_process_resident_memory_bytes"] > 0
    assert [type(asked) for asked in front.bridge.asked] == [hop.Stats]
    assert front.bridge.timeouts_s == [1.0]


async def test_without_a_host_the_front_still_answers(client: Client, front: Front) -> None:
    front.bridge.answers[hop.Stats] = HostUnavailable()
    front.authenticator.database_up = False
    await _call(client, "whoami")
    found = await _scraped(client)
    assert found["kernelwire_host_up"] == 0
    assert found["kernelwire_database_up"] == 0
    assert found["kernelwire_calls_total{method=whoami,outcome=ok}"] == 1
    assert not any(name.startswith(("kernelwire_sessions", "kernelwire_host_answer")) for name in found)
    front.bridge.answers[hop.Stats] = STATS
    assert (await _scraped(client))["kernelwire_host_up"] == 1


async def test_long_polls_and_calls_that_nobody_waits_for(client: Client, front: Front) -> None:
    front.bridge.answers[hop.Stats] = HostUnavailable()
    front.bridge.gate.clear()
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "poll_output"})
    waiting = asyncio.create_task(front.dispatcher.dispatch(body, [f"Bearer {TOKEN}"], "r"))
    await turns(lambda: front.services.long_polls.waiting == 1)
    scrape = asyncio.create_task(_scraped(client))
    await turns(lambda: len(front.bridge.asked) == 2, most=100_000)
    front.bridge.gate.set()
    assert (await scrape)["kernelwire_long_polls"] in (0, 1)
    await waiting
    front.bridge.gate.clear()
    gone = asyncio.create_task(front.dispatcher.dispatch(body, [f"Bearer {TOKEN}"], "r"))
    await turns(lambda: front.services.long_polls.waiting == 1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    front.bridge.gate.set()
    found = await _scraped(client)
    assert found["kernelwire_calls_total{method=poll_output,outcome=gone}"] == 1
    assert found["kernelwire_long_polls"] == 0


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "Via"])
async def test_what_came_through_a_proxy_is_refused(client: Client, front: Front, header: str) -> None:
    answer = await client.get("/metrics", headers={header: "192.0.2.1"})
    assert answer.status == 403
    assert (await answer.json())["error"]["code"] == -32600
    assert not front.bridge.asked


async def test_open_metrics_for_those_who_ask_for_it(client: Client) -> None:
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.content_type == "application/openmetrics-text"
    assert (await answer.text()).endswith("# EOF\n")


def test_two_fronts_of_one_process_share_nothing() -> None:
    one, other = Metrics("1"), Metrics("2")
    one.call("whoami", "ok", 0.001)
    figures = FrontFigures(2, 1, database_up=True)
    assert b"whoami" in one.render("", figures, None)[0]
    text = other.render("", figures, HostFigures(STATS, 0.5))[0]
    assert b"whoami" not in text
    assert b"kernelwire_long_polls 2.0" in text
    assert b"kernelwire_host_answer_seconds 0.5" in text
