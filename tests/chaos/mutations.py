"""`python -m tests.chaos.mutations`: the driver against services with a defect. It must find each.

Exit codes: 0 every defect was found, 1 one was not, or something was found where there is no defect.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.chaos.results import Report

MUTANTS = Path(__file__).with_name("mutants")
BOUND_S = 300.0


@dataclass(frozen=True, slots=True)
class Mutation:
    """A defect, and the fault under which it shows."""

    name: str
    what: str
    fault: str
    rounds: int
    shows: str | None
    """words of the breach by which it must be found; None: nothing may be found"""


MUTATIONS = (
    Mutation("none", "no defect", "host_pause", 2, None),
    Mutation("none", "no defect", "host_kill", 2, None),
    Mutation("rcvhwm", "RCVHWM=1000 in the host: what it does not take, the kernel keeps", "host_pause", 3, None),
    Mutation("hwm", "SNDHWM=1000 in the kernel as well, where nothing is kept then", "host_pause", 3, "are missing"),
    Mutation("lost_write", "every 500th event is not written", "host_pause", 2, "are missing"),
    Mutation("twice_written", "every 500th event is written twice", "host_pause", 2, "lines doubled"),
    Mutation("run_again", "a request is sent again after adoption", "host_kill", 2, "ran 2 times"),
)
"""Without those without a defect a service that is merely broken would pass for a defect that was found."""


def main() -> int:
    """Run all of them, print what came of each; returns the exit code."""
    wrong = 0
    for mutation in MUTATIONS:
        words = [breach.words for breach in _run(mutation).breaches]
        shown = [text for text in words if mutation.shows is not None and mutation.shows in text]
        right = bool(shown) if mutation.shows is not None else not words
        wrong += not right
        verdict = "red" if words else "green"
        expected = "as it must be" if right else "WRONG"
        print(f"{mutation.name:14} {mutation.fault:12} {verdict:6} {expected}: {mutation.what}", flush=True)
        for text in (shown or words)[:2]:
            print(f"{'':28} {text[:160]}", flush=True)
    return 1 if wrong else 0


def _run(mutation: Mutation) -> Report:
    """The driver in a process of its own, as by hand. Raises OSError, subprocess.TimeoutExpired: it did not end."""
    with tempfile.TemporaryDirectory(prefix="kw-mutation-") as directory:
        found = Path(directory) / "found.json"
        words = ["--rounds", str(mutation.rounds), "--fault", mutation.fault]
        if mutation.name != "none":
            words += ["--python-path", str(MUTANTS / mutation.name)]
        subprocess.run(
            [sys.executable, "-m", "tests.chaos", *words, "--json", str(found)],
            timeout=BOUND_S,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return msgspec.json.decode(found.read_bytes(), type=Report)


if __name__ == "__main__":
    sys.exit(main())
