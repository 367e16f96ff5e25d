"""The layers of a call, and to which of them a sampled stack belongs. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

Stack = Sequence[str]
"""`file:function`, innermost first"""

LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("sampler", ("/profiling/sitecustomize.py",)),
    ("wait: epoll, 0MQ's thread", ("/selectors.py:EpollSelector.select",)),
    (
        "log line",
        ("/rpc/logs.py", "/kernelwire/logs.py", "/kernelwire/log_", "/logging/"),
    ),
    ("log context", ("/kernel_bridge/log_context.py", "/structlog/")),
    ("metrics", ("/rpc/metrics.py", "/prometheus_client/")),
    ("request id", ("/rpc/request_id.py", "/secrets.py")),
    ("body", ("/rpc/endpoint.py:Endpoint._body", "/rpc/endpoint.py:_body", "/rpc/body.py", "/aiohttp/streams.py")),
    ("media type", ("/rpc/endpoint.py:_check_media_type",)),
    ("token", ("/auth/", "/itsdangerous/", "/rpc/bearer.py")),
    ("envelope", ("/rpc/envelope.py", "/rpc/json_text.py")),
    ("params", ("/rpc/params.py", "/rpc/limits.py")),
    ("hop: channel, 0MQ", ("/kernel_bridge/channels.py", "/zmq/")),
    ("hop: client", ("/kernel_bridge/client.py", "/kernel_bridge/hop.py", "/kernel_bridge/hop_request.py")),
    ("hop: server", ("/kernel_bridge/hop_server.py", "/kernel_bridge/tracing.py")),
    ("headers of the answer", ("/rpc/app.py:_add_headers",)),
    ("jsonrpcserver", ("/jsonrpcserver/", "/oslash/", "/inspect.py", "/rpc/item_dispatch.py")),
    ("our dispatch", ("/rpc/dispatch.py", "/rpc/")),
    ("host: channels", ("/kernel_bridge/kernel_channels.py", "/kernel_bridge/router.py", "/kernel_bridge/wire.py")),
    (
        "host: log and outputs",
        (
            "/kernel_bridge/log",
            "/kernel_bridge/line_file.py",
            "/kernel_bridge/segment.py",
            "/kernel_bridge/journal.py",
            "/kernel_bridge/cell_",
            "/kernel_bridge/event",
            "/kernel_bridge/output",
            "/kernel_bridge/display",
            "/kernel_bridge/clock.py",
        ),
    ),
    ("host: session, runner, kernel", ("/kernel_bridge/",)),
    ("aiohttp: answer", ("/aiohttp/web_response.py", "/aiohttp/http_writer.py", "/aiohttp/abc.py")),
    ("aiohttp: the rest", ("/aiohttp/", "/yarl/", "/multidict/", "/aiosignal/")),
    ("asyncio", ("/asyncio/", "/selectors.py")),
)
"""In order: the innermost frame that is named here decides, so what a library does counts for who called it"""
OTHER = "other"


class Share(Struct, frozen=True):
    """One layer's part of the samples of a process."""

    layer: str
    part: float
    """0 to 1"""


def layer_of(stack: Stack) -> str:
    for frame in stack:
        for layer, parts in LAYERS:
            if any(part in frame for part in parts):
                return layer
    return OTHER


def shares(samples: Iterable[tuple[Stack, int]]) -> list[Share]:
    """All layers that were seen, the largest first; the sampler's own part is left out."""
    counts: Counter[str] = Counter()
    for stack, count in samples:
        counts[layer_of(stack)] += count
    counts.pop("sampler", None)
    total = counts.total()
    return [Share(layer, count / total) for layer, count in counts.most_common()]


def functions(samples: Iterable[tuple[Stack, int]], most: int) -> list[Share]:
    """The functions with the largest own time, C functions that they call included."""
    counts: Counter[str] = Counter()
    for stack, count in samples:
        if stack:
            counts["/".join(stack[0].rsplit("/", 2)[-2:])] += count
    total = counts.total()
    return [Share(name, count / total) for name, count in counts.most_common(most)]


def inclusive(samples: Iterable[tuple[Stack, int]], most: int) -> list[Share]:
    """The functions in which most time passes, that of all that they call included."""
    counts: Counter[str] = Counter()
    total = 0
    for stack, count in samples:
        total += count
        for name in {"/".join(frame.rsplit("/", 2)[-2:]) for frame in stack}:
            counts[name] += count
    return [Share(name, count / total) for name, count in counts.most_common(most)]
