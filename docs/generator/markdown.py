"""Pieces of Markdown."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

WIDTH = 120


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty if there are no rows."""
    lines = [_row(cells) for cells in rows]
    return "\n".join([_row(head), _row(["---"] * len(head)), *lines]) if lines else ""


def contents(titles: Iterable[str]) -> str:
    """Links to the headings of a page."""
    return " · ".join(f"[{title}](#{anchor(title)})" for title in titles)


def anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def code(text: object) -> str:
    """Inline code."""
    return f"`{text}`"


def block(text: str, language: str) -> str:
    """A fenced block."""
    return f"```{language}\n{text}\n```"


def join(*parts: str) -> str:
    """Parts with a blank line between them; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def json_text(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON for people: what fits on a line stands on one. `before`: characters that stand on the line already."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent + before <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    deeper = indent + 2
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return _lines(
            "{}", [f'"{name}": {json_text(member, deeper, len(name) + 4)}' for name, member in members], indent
        )
    return _lines("[]", [json_text(element, deeper) for element in cast("list[Any]", value)], indent)


def _lines(brackets: str, parts: Sequence[str], indent: int) -> str:
    """Parts in brackets: as many on a line as fit there."""
    lines = [" " * (indent + 2) + parts[0]]
    for part in parts[1:]:
        if "\n" not in part + lines[-1] and len(lines[-1]) + len(part) + 3 <= WIDTH:
            lines[-1] += f", {part}"
        else:
            lines[-1] += ","
            lines.append(" " * (indent + 2) + part)
    inner = "\n".join(lines)
    return f"{brackets[0]}\n{inner}\n{' ' * indent}{brackets[1]}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
