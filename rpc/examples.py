"""Examples of calls: requests with their answers, from openapi/examples. A test runs each of them.

What differs from run to run stands in the files as a placeholder, `<kind>`, `<kind:name>` or `<kind:name=shown>`: a
time or a session id, for instance. `shown` is what documents show in its place, for a number or `any` as JSON.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

PLACEHOLDER = re.compile(r"<([a-z_]+)(?::([a-z0-9_]+))?(?:=(.*))?>", re.DOTALL)
REST = "<...>"
"""in an array: any number of further elements; documents leave them out"""

_SHOWN: dict[str, Any] = {
    "session": "5b3a521b.94uCe_5_T3u7rrCB",
    "cell": "abdc5b9eacf253eb",
    "user_id": "7fe7dbb3d18370b1",
    "token": "kw_eyJ1IjoiN2ZlN2RiYjNkMTgzNzBiMSJ9.aR5Zng.Vd1o6c1Vq0s",
    "token_id": "x1Yb0qC8s3u2",
    "password": "correct horse battery staple",
    "id": "9a1f4c6b2e7d8035",
    "time": "2026-11-22T17:38:04.611Z",
    "seconds": 0.5,
    "int": 7,
    "text": "...",
    "any": None,
}
KINDS = frozenset(_SHOWN)


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """One HTTP request, or message of a WebSocket, and its answer: None where it has no body (204)."""

    request: dict[str, Any] | list[Any]
    answer: dict[str, Any] | list[Any] | None
    token: bool = True
    """whether the request carries the token in its Authorization header"""
    retry: bool = False
    """sent again until the answer matches: it depends on what the kernel has got to"""
    notifications: list[dict[str, Any]] = []
    """over a WebSocket, what is sent after the answer"""


class Example(Struct, frozen=True, forbid_unknown_fields=True):
    """A flow of calls in a session of its own. `method`: the one that it is shown for."""

    method: str
    title: str
    steps: list[Step]
    name: str = ""
    """of the file"""

    def calls(self) -> list[Step]:
        """The steps that call `method` by itself."""
        return [step for step in self.steps if isinstance(step.request, dict) and step.request["method"] == self.method]


def directory() -> Path:
    """Where the examples are: in an installed package beside this module, in a clone under openapi/."""
    here = Path(__file__).parent
    installed = here / "openapi_examples"
    return installed if installed.is_dir() else here.parent / "openapi" / "examples"


def load(place: Path | None = None) -> list[Example]:
    """All examples, with placeholders, by name; the one with a method's own name before the others of that method.

    Raises msgspec.ValidationError for a file that is none.
    """
    files = sorted((place or directory()).glob("*.json"))
    found = [
        msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=Example), name=path.stem) for path in files
    ]
    return sorted(found, key=lambda example: example.name != example.method.replace(".", "_"))


def shown(examples: Sequence[Example]) -> list[Example]:
    """The examples as documents show them."""
    return [msgspec.convert(show(msgspec.to_builtins(example)), Example) for example in examples]


def show(value: Any) -> Any:
    """`value` with every placeholder replaced."""
    if isinstance(value, dict):
        return {name: show(member) for name, member in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [show(element) for element in cast("list[Any]", value) if element != REST]
    if not isinstance(value, str):
        return value
    found = PLACEHOLDER.fullmatch(value)
    if found is None or found[1] not in KINDS:
        return value
    return _shown(found[1], found[3])


def _shown(kind: str, given: str | None) -> Any:
    if given is None:
        return _SHOWN[kind]
    return given if isinstance(_SHOWN[kind], str) else msgspec.json.decode(given)
