"""complete and inspect: the kernel's replies as the wire contract shows them. Pure but for the question itself.

Source: Jupyter messaging protocol, "Introspection" and "Completion"; API.md, "Methods: the five".
"""

import logging
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from kernel_bridge.ansi import strip
from kernel_bridge.errors import InvalidArgument
from kernel_bridge.results import Completion, Inspection, Match
from kernel_bridge.wire import Message

log = logging.getLogger("kernelwire.bridge.introspection")
S = TypeVar("S", bound=Struct)


class _TypedMatch(Struct, frozen=True):
    text: str = ""
    type: str | None = None
    signature: str | None = None


class _CompleteMetadata(Struct, frozen=True):
    types: list[_TypedMatch] = msgspec.field(name="_jupyter_types_experimental", default_factory=list[_TypedMatch])


class _CompleteReply(Struct, frozen=True):
    status: str = "ok"
    matches: list[str] = []
    cursor_start: int = 0
    cursor_end: int = 0
    metadata: _CompleteMetadata = _CompleteMetadata()


class _Facts(Struct, frozen=True):
    """What our launcher adds to inspect_reply.metadata."""

    name: str | None = None
    docstring: str | None = None
    source: str | None = None
    signature: str | None = None
    file: str | None = None


class _InspectMetadata(Struct, frozen=True):
    kernelwire: _Facts = _Facts()


class _InspectReply(Struct, frozen=True):
    status: str = "ok"
    found: bool = False
    data: dict[str, Any] = {}
    metadata: _InspectMetadata = _InspectMetadata()


class Question(Struct, frozen=True):
    """The code to look at, the position in it (code points) and the level (0 = `?`, 1 = `??`)."""

    code: str
    cursor_pos: int
    detail_level: int = 0


def question(code: str, cursor_pos: int | None, detail_level: int | None = None) -> Question:
    """A Question with its position checked (None: the end). With `detail_level` inspect's question marks are read.

    `??` before or behind the code sets level 1, `?` level 0; they are taken off and the position moves along.
    Raises InvalidArgument if the position lies beyond the code.
    """
    length = len(code)
    if cursor_pos is not None and not 0 <= cursor_pos <= length:
        raise InvalidArgument("cursor_pos", f"an integer from 0 to {length}, the code's length in code points")
    position = length if cursor_pos is None else cursor_pos
    if detail_level is None:
        return Question(code, position)
    body = code.rstrip()
    marks_behind = len(body) - len(body.rstrip("?"))
    body = body.rstrip("?")
    stripped = body.lstrip()
    marks_before = len(stripped) - len(stripped.lstrip("?"))
    if marks_before:
        removed = len(body) - len(stripped) + marks_before
        body = body[removed:]
        position -= removed
    if not marks_before and not marks_behind:
        return Question(code, position, detail_level)
    level = 1 if max(marks_before, marks_behind) >= 2 else 0
    return Question(body, max(0, min(position, len(body.rstrip()))), level)


def completion(asked: Question, reply: Message) -> Completion:
    """The matches of a complete_reply. IPython without jedi returns attributes with their dot: it is taken off."""
    content = _decode(reply, _CompleteReply)
    start, end = content.cursor_start, content.cursor_end
    typed = {match.text: match for match in content.metadata.types}
    dotted = bool(content.matches) and all(text.startswith(".") for text in content.matches)
    cut = 1 if dotted and asked.code[start : start + 1] == "." else 0
    matches = [
        Match(text[cut:], _known(typed.get(text, _TypedMatch()).type), _known(typed.get(text, _TypedMatch()).signature))
        for text in content.matches
    ]
    return Completion(matches, start + cut, end)


def inspection(reply: Message) -> Inspection:
    """An inspect_reply, with the plain fields that our launcher put into its metadata (null from other kernels)."""
    content = _decode(reply, _InspectReply)
    plain = content.data.get("text/plain", "")
    facts = content.metadata.kernelwire
    return Inspection(
        found=content.found,
        name=facts.name,
        text=strip(plain) if isinstance(plain, str) else "",
        data=content.data,
        docstring=facts.docstring,
        source=facts.source,
        signature=facts.signature,
        file=facts.file,
    )


def _known(fact: str | None) -> str | None:
    return None if fact in (None, "", "<unknown>") else fact


def _decode(reply: Message, type: type[S]) -> S:
    """The reply's content; an empty one if the kernel sent what the protocol does not allow."""
    try:
        return msgspec.json.decode(reply.content, type=type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        log.warning("reply_malformed type=%s", reply.msg_type)
        return type()
