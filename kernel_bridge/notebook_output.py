"""Contents of iopub messages as outputs of notebook format 4 (nbformat v4 schema, definitions/output).

User code can send any content, so nothing in it is taken on trust: what the format does not allow is left out or
becomes text.
"""

import re
from typing import Any, cast

import msgspec

_JSON_MIME = re.compile(r"application/(.*\+)?json")


def mime_bundle(value: Any) -> dict[str, Any]:
    """A MIME bundle as notebooks allow it: text (a string or a list of strings), or any JSON under a JSON type."""
    if not isinstance(value, dict):
        return {}
    bundle = cast("dict[str, Any]", value)
    return {mime: item if _is_allowed(mime, item) else _as_text(item) for mime, item in bundle.items()}


def json_object(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def count(value: Any) -> int | None:
    """An execution count, None if it is none."""
    return value if type(value) is int and value >= 0 else None


def text(value: Any) -> str:
    """`value` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def error(fields: dict[str, Any], max_bytes: int) -> tuple[dict[str, Any], int]:
    """The `error` output, and how many bytes of its JSON are missing. Beyond about `max_bytes` the message is cut at
    its end and the traceback at its begin: the last frames and the name must not be lost."""
    value = fields.get("traceback")
    frames = [frame for frame in cast("list[Any]", value) if isinstance(frame, str)] if isinstance(value, list) else []
    part = max(16, max_bytes // 8)  # a character may take 4 bytes; the message mostly stands in the traceback too
    kept: list[str] = []
    for frame in reversed(frames):
        if len(frame) >= part:
            kept.append(frame[:part])
            break
        kept.append(frame)
        part -= len(frame)
    size = max(16, max_bytes // 32)
    ename, evalue = text(fields.get("ename")), text(fields.get("evalue"))
    output = {"output_type": "error", "ename": ename[:size], "evalue": evalue[:size], "traceback": kept[::-1]}
    whole = {**output, "ename": ename, "evalue": evalue, "traceback": frames}
    return output, 0 if output == whole else len(msgspec.json.encode(whole)) - len(msgspec.json.encode(output))


def plain(output: dict[str, Any]) -> str:
    """What a terminal would print for an output that is no stream; "" if nothing."""
    if output["output_type"] == "error":
        return "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"
    shown: Any = output["data"].get("text/plain", "")
    return shown if isinstance(shown, str) else "".join(shown)


def _is_allowed(mime: str, item: Any) -> bool:
    if isinstance(item, str) or _JSON_MIME.fullmatch(mime):
        return True
    return isinstance(item, list) and all(isinstance(line, str) for line in cast("list[Any]", item))


def _as_text(item: Any) -> str:
    return msgspec.json.encode(item).decode()
