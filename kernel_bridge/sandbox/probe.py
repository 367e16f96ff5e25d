"""What the machine can do of the sandbox, by trying it, and what follows from that."""

import logging
import subprocess
import sys
from functools import cache
from pathlib import Path

from msgspec import Struct

from kernel_bridge.sandbox.plan import Level

TRIAL = Path(__file__).with_name("trial.py")
TRIAL_S = 15.0
NAMES = ("namespaces", "landlock", "seccomp")

log = logging.getLogger("kernelwire.bridge.sandbox")


class Layer(Struct, frozen=True):
    """One layer. `words`: its version, or why it is not there."""

    name: str
    there: bool
    words: str


class Layers(Struct, frozen=True):
    """All of them, in the order of NAMES."""

    all: tuple[Layer, ...]

    @property
    def missing(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.all if not layer.there)

    @property
    def level(self) -> Level | None:
        """The best that can be done; None: kernels cannot be kept apart."""
        there = {layer.name for layer in self.all if layer.there}
        if "namespaces" in there:
            return "namespaces"
        return "landlock" if {"landlock", "seccomp"} <= there else None

    def __str__(self) -> str:
        return ", ".join(layer.name if layer.there else f"no {layer.name} ({layer.words})" for layer in self.all)


@cache
def probe(uid: int | None = None) -> Layers:
    """Try all layers, once in a process. Blocks for TRIAL_S at most, usually 0.2 s.

    uid: as this user, without any capability (the machine may allow root what it refuses to others); None: as we are.
    """
    if sys.platform != "linux":
        return _none("this is not Linux")
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(TRIAL), *([] if uid is None else [str(uid)])],
            capture_output=True,
            timeout=TRIAL_S,
            check=False,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _none(f"the trial failed: {error}")
    lines = [line.split(" ", 2) for line in done.stdout.decode(errors="replace").splitlines()]
    found = {line[0]: Layer(line[0], line[1] == "yes", line[2]) for line in lines if len(line) == 3}
    if set(found) != set(NAMES):
        return _none(f"the trial failed: {done.stderr.decode(errors='replace')[-500:]}")
    return Layers(tuple(found[name] for name in NAMES))


def _none(words: str) -> Layers:
    return Layers(tuple(Layer(name, there=False, words=words) for name in NAMES))
