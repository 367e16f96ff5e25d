"""docs/reference/states.md from what was answered."""

from collections.abc import Mapping
from pathlib import Path

from docs.generator.markdown import anchor, code, join, table
from tests.states.expectations import EXPECTED, STATES

PLACE = Path(__file__).parents[2] / "docs" / "reference" / "states.md"

_HEAD = """
Every method was called in every state of a session, over a WebSocket of a real service with a Python kernel. `ok` may
be followed by a fact of the result: the cell's `state` and `end`, `kernel_state`, `step`, `status`. After each state
the session evaluated `1+1`.
"""


def page(answers: Mapping[str, Mapping[str, str]]) -> str:
    """`answers` by method and state."""
    rows = [[code(method), *(row[state] for state in STATES)] for method, row in answers.items()]
    return join(
        "<!-- Made from a test run by `make states`; changes here are lost. -->",
        "# Methods in every state of a session",
        _HEAD.strip(),
        table(("state", "what it is"), [(f"**{name}**", what) for name, what in STATES.items()]),
        "## Answers",
        table(("method", *STATES), rows),
        "## Why an error",
        table(("error", "methods", "states", "why"), _reasons()),
        "Kernels without subshells answer `complete`, `inspect` and `is_complete` with "
        f"{_error('KernelBusy')} while a cell runs for longer than the deadline. `subscribe` and `unsubscribe` are "
        f"{_error('Method not found')} over HTTP.\n",
    )


def _error(name: str) -> str:
    return f"[{name}](errors.md#{anchor(name)})"


def _reasons() -> list[tuple[str, str, str, str]]:
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for method, row in EXPECTED.items():
        for state, answer in row.items():
            if answer.why:
                found.setdefault((answer.text, answer.why), {}).setdefault(method, []).append(state)
    rows: list[tuple[str, str, str, str]] = []
    for (error, why), methods in found.items():
        states = dict.fromkeys(state for states in methods.values() for state in states)
        rows.append((_error(error), ", ".join(map(code, methods)), ", ".join(states), why))
    return rows
