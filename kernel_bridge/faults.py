"""Errors on their way over the hop: a BridgeError becomes a Fault, and the same error again."""

from typing import Any

import msgspec

from kernel_bridge import errors
from kernel_bridge.hop import Fault
from kernel_bridge.results import Exit

INTERNAL = "internal"

_KINDS: dict[str, type[errors.BridgeError]] = {
    kind.__name__: kind
    for kind in (
        errors.InvalidArgument,
        errors.SessionNotFound,
        errors.AccessDenied,
        errors.CellNotFound,
        errors.CellConflict,
        errors.KernelspecNotFound,
        errors.LimitExceeded,
        errors.KernelStartFailed,
        errors.KernelDied,
        errors.KernelBusy,
        errors.NotWaitingForInput,
        errors.HostUnavailable,
        errors.ShuttingDown,
    )
}


class HostFailed(Exception):
    """The host met an exception that is none of ours; its log has it under the request's id."""


def to_fault(error: BaseException) -> Fault:
    """The error's class and attributes; of an unknown exception nothing."""
    kind = type(error).__name__
    if _KINDS.get(kind) is not type(error):
        return Fault(INTERNAL, {})
    return Fault(kind, {name: msgspec.to_builtins(value) for name, value in vars(error).items()})


def from_fault(fault: Fault) -> Exception:
    """The error that `to_fault` was given; HostFailed for those it did not know."""
    kind = _KINDS.get(fault.kind)
    if kind is None:
        return HostFailed()
    args: dict[str, Any] = dict(fault.args)
    if "exit" in args:
        args["exit"] = msgspec.convert(args["exit"], Exit)
    return kind(**args)
