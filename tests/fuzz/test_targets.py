"""A few inputs of each target, so that `make fuzz` works when it is needed; and that it can find something."""

from typing import Any

import pytest

from kernel_bridge.wire import Codec
from tests.fuzz import targets
from tests.unit.rpc.fakes import FakeBridge


def test_few_inputs() -> None:
    assert targets.wire(60) >= 60
    assert targets.dispatch(60) >= 60


def test_an_exception_of_the_decoder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, frames: Any) -> Any:
        raise KeyError(1)

    monkeypatch.setattr(Codec, "decode", broken)
    with pytest.raises(KeyError):
        targets.wire(10)


def test_an_internal_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Any, request: Any, *, timeout_s: float) -> Any:
        raise KeyError(1)

    monkeypatch.setattr(FakeBridge, "call", broken)
    with pytest.raises(targets.Found, match="internal error"):
        targets.dispatch(2000)
