"""Every generated file and its text."""

import json
from pathlib import Path
from typing import Any

import msgspec

from docs.generator import cli, errors, events, methods, settings
from rpc import documents

ROOT = Path(__file__).parents[2]
NOTE = "<!-- Made from the code by `make docs`; changes here are lost. -->"


def files() -> dict[str, str]:
    """Texts by path from the root of the repository."""
    pages = {"methods": methods, "events": events, "errors": errors, "settings": settings, "cli": cli}
    made = {f"docs/reference/{name}.md": f"{NOTE}\n\n{page.page()}\n" for name, page in pages.items()}
    return {
        "openapi/openapi.json": _pretty(documents.openapi()),
        "openapi/openrpc.json": _pretty(documents.openrpc()),
        **made,
    }


def _pretty(document: Any) -> str:
    return json.dumps(msgspec.to_builtins(document), indent=2, ensure_ascii=False) + "\n"
