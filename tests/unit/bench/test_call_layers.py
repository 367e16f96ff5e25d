"""Which layer a sampled stack belongs to."""

import pytest

from bench.call_layers import OTHER, Share, functions, layer_of, shares

FRONT = "/x/rpc/dispatch.py:Dispatcher._call"
LOOP = "/python/asyncio/events.py:Handle._run"


@pytest.mark.parametrize(
    ("stack", "layer"),
    [
        (["/python/hmac.py:new", "/x/auth/tokens.py:TokenSigner.unsign", FRONT, LOOP], "token"),
        (["/python/logging/__init__.py:Logger.handle", "/x/rpc/logs.py:event", FRONT], "log line"),
        ([FRONT, "/x/jsonrpcserver/async_dispatcher.py:call", LOOP], "our dispatch"),
        (["/x/jsonrpcserver/async_dispatcher.py:call", FRONT, LOOP], "jsonrpcserver"),
        (["/x/zmq/sugar/socket.py:Socket.send", "/x/kernel_bridge/client.py:HostClient.call"], "hop: channel, 0MQ"),
        (["/python/selectors.py:EpollSelector.select", LOOP], "wait: epoll, 0MQ's thread"),
        (["/x/kernel_bridge/log.py:Log.append", "/x/kernel_bridge/session.py:Session.take"], "host: log and outputs"),
        (["/x/kernel_bridge/session.py:Session.take", LOOP], "host: session, runner, kernel"),
        ([LOOP], "asyncio"),
        (["/elsewhere.py:f"], OTHER),
        ([], OTHER),
    ],
)
def test_the_innermost_frame_that_has_a_layer_decides(stack: list[str], layer: str) -> None:
    assert layer_of(stack) == layer


def test_shares_leave_the_sampler_out() -> None:
    samples = [([FRONT], 3), ([LOOP], 1), (["/bench/profiling/sitecustomize.py:_Sampler.take", FRONT], 4)]
    assert shares(samples) == [Share("our dispatch", 0.75), Share("asyncio", 0.25)]


def test_functions_by_their_own_time() -> None:
    assert functions([([FRONT, LOOP], 3), ([LOOP], 1)], 1) == [Share("rpc/dispatch.py:Dispatcher._call", 0.75)]
