"""Whether an answer is the one that an example shows, where placeholders stand for what differs from run to run."""

import re
from dataclasses import dataclass, field
from typing import Any, cast

from rpc.examples import KINDS, PLACEHOLDER, REST

_PATTERNS = {
    "session": r"[A-Za-z0-9]{8}\.[A-Za-z0-9_-]+",
    "cell": r"[A-Za-z0-9_-]{1,64}",
    "user_id": r"[A-Za-z0-9_-]+",
    "token": r"kw[A-Za-z]*_[A-Za-z0-9_.-]+",
    "token_id": r"[A-Za-z0-9_-]+",
    "id": r"[A-Za-z0-9_-]+",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "text": r"(?s:.+)",
}
_NEW_EACH_TIME = ("time", "text", "any", "seconds", "int")
"""kinds of placeholders that bind nothing, unless they have a name"""


class Mismatch(AssertionError):
    pass


@dataclass(slots=True)
class Bindings:
    """What placeholders stand for, from the first place where they were met on."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])

    def fill(self, value: Any) -> Any:
        """A request with its placeholders filled in."""
        if isinstance(value, dict):
            return {name: self.fill(member) for name, member in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            return [self.fill(element) for element in cast("list[Any]", value)]
        found = _placeholder(value)
        return value if found is None else self.values[_key(found)]

    def match(self, expected: Any, got: Any, where: str = "answer") -> None:
        """Raises Mismatch where `got` differs; binds the placeholders that are met."""
        found = _placeholder(expected)
        if found is not None:
            self._bind(found, got, where)
        elif isinstance(expected, dict) and isinstance(got, dict):
            self._object(cast("dict[str, Any]", expected), cast("dict[str, Any]", got), where)
        elif isinstance(expected, list) and isinstance(got, list):
            self._array(cast("list[Any]", expected), cast("list[Any]", got), where)
        elif type(cast("object", expected)) is not type(got) or expected != got:
            raise Mismatch(f"{where}: expected {expected!r}, got {got!r}")

    def _object(self, expected: dict[str, Any], got: dict[str, Any], where: str) -> None:
        if expected.keys() != got.keys():
            differing = sorted(expected.keys() ^ got.keys())
            raise Mismatch(f"{where}: members {differing} are in one only; got {got!r}")
        for name, member in expected.items():
            self.match(member, got[name], f"{where}.{name}")

    def _array(self, expected: list[Any], got: list[Any], where: str) -> None:
        """`<...>` takes as few elements as will do; what was bound on the way to a mismatch is forgotten."""
        if not expected:
            if got:
                raise Mismatch(f"{where}: {len(got)} more than expected, the first is {got[0]!r}")
            return
        if expected[0] != REST:
            if not got:
                raise Mismatch(f"{where}: {len(expected)} are missing, the first is {expected[0]!r}")
            self.match(expected[0], got[0], f"{where}[0]")
            self._array(expected[1:], got[1:], f"{where}[1:]")
            return
        for skipped in range(len(got) + 1):
            before = dict(self.values)
            try:
                self._array(expected[1:], got[skipped:], f"{where}[{skipped}:]")
            except Mismatch:
                self.values = before
            else:
                return
        raise Mismatch(f"{where}: nothing matches {expected[1:]!r} in {got!r}")

    def _bind(self, found: "re.Match[str]", got: Any, where: str) -> None:
        kind, name = found[1], found[2]
        pattern = _PATTERNS.get(kind)
        if pattern is not None and not (isinstance(got, str) and re.fullmatch(pattern, got)):
            raise Mismatch(f"{where}: expected a {kind}, got {got!r}")
        if kind in ("int", "seconds") and (isinstance(got, bool) or not isinstance(got, int | float)):
            raise Mismatch(f"{where}: expected a number, got {got!r}")
        if kind in _NEW_EACH_TIME and name is None:
            return
        if self.values.setdefault(_key(found), got) != got:
            raise Mismatch(f"{where}: expected {self.values[_key(found)]!r} as before, got {got!r}")


def _placeholder(value: Any) -> "re.Match[str] | None":
    found = PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return found if found is not None and found[1] in KINDS else None


def _key(found: "re.Match[str]") -> str:
    return f"{found[1]}:{found[2] or ''}"
