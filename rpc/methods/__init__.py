"""The methods of the service."""

from rpc.methods import evaluate, introspect, kernel, output, session, worksheet
from rpc.registry import Registry

REGISTRY = Registry.of_modules(session, evaluate, introspect, output, kernel, worksheet)
"""Every method there is. Immutable."""
