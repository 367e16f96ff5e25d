"""The methods of the service."""

from rpc.methods import (
    comm,
    discover,
    evaluate,
    introspect,
    kernel,
    output,
    session,
    sharing,
    subscription,
    tokens,
    worksheet,
)
from rpc.registry import Registry

REGISTRY = Registry.of_modules(
    session, sharing, tokens, evaluate, introspect, output, subscription, kernel, worksheet, comm, discover
)
"""Every method there is. Immutable."""
