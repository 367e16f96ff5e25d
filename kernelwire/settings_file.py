"""A file of settings: TOML 1.0, tables as the parts, `bridge.queue_cells = 10` or the same under `[bridge]`."""

import re
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast

from kernelwire.errors import BadSetting

MAX_BYTES = 1 << 20
_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")


def read(path: Path, keys: Collection[str]) -> list[tuple[str, Any, str]]:
    """Key, value and origin (`PATH:LINE`) of each setting in the file. What is below one of `keys` is its value.

    Raises BadSetting (no TOML, with the line), OSError.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise BadSetting(f"{path}: expected a file of settings, got more than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8")
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSetting(f"{path}: expected TOML: {error}") from None
    lines = _lines(text)
    return [(key, value, _origin(path, key, lines)) for key, value in _flat(tables, "", keys)]


def _flat(tables: dict[str, Any], before: str, keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        key = before + name
        if isinstance(value, dict) and key not in keys:
            yield from _flat(cast("dict[str, Any]", value), f"{key}.", keys)
        else:
            yield key, value


def _lines(text: str) -> dict[str, int]:
    """In which line each key begins. By the look of the lines, since tomllib does not say: a help, not a promise."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _plain(header[1]) + "."
        elif assignment := _KEY.match(line):
            found.setdefault(table + _plain(assignment[1]), number)
    return found


def _plain(key: str) -> str:
    return ".".join(word.strip().strip("\"'") for word in key.split("."))


def _origin(path: Path, key: str, lines: dict[str, int]) -> str:
    """`PATH:LINE`, of the key or of the inline table that it stands in."""
    while key:
        if key in lines:
            return f"{path}:{lines[key]}"
        key = key.rpartition(".")[0]
    return str(path)
