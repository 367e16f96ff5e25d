"""Errors cross the hop as what they were."""

import msgspec
import pytest

from kernel_bridge import errors
from kernel_bridge.faults import HostFailed, from_fault, to_fault
from kernel_bridge.hop import Fault
from kernel_bridge.results import Exit

ALL = [
    errors.InvalidArgument("cursor", "a seq from 0 to 7", newest=7),
    errors.InvalidArgument("kernel", "python3"),
    errors.SessionNotFound("h.s"),
    errors.SessionNotFound("h.s", closed=True),
    errors.AccessDenied("write"),
    errors.CellNotFound("c"),
    errors.CellConflict("c"),
    errors.KernelspecNotFound("x", ["python3", "ir"]),
    errors.LimitExceeded("queue_cells", 1000),
    errors.LimitExceeded("disk", None, "no space"),
    errors.KernelStartFailed(Exit(3, None, None), "no libfoo.so"),
    errors.KernelDied(Exit(None, 9, True)),
    errors.KernelBusy(2.0),
    errors.NotWaitingForInput(),
    errors.HostUnavailable(1.5),
    errors.ShuttingDown(),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_there_and_back(error: errors.BridgeError) -> None:
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(to_fault(error)), type=Fault)
    again = from_fault(sent)
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_every_error_that_may_leave_the_bridge_is_known() -> None:
    leaves = {kind.__name__ for kind in errors.BridgeError.__subclasses__()} - {"WireError"}
    assert leaves == {type(error).__name__ for error in ALL}


def test_of_an_unknown_exception_nothing_is_told() -> None:
    fault = to_fault(ValueError("secret code"))
    assert fault == Fault("internal", {})
    assert isinstance(from_fault(fault), HostFailed)


def test_a_namesake_of_another_package_is_unknown() -> None:
    class CellNotFound(Exception):
        pass

    assert to_fault(CellNotFound("x")).kind == "internal"
