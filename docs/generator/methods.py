"""docs/reference/methods.md."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from docs.generator import structs
from docs.generator.markdown import anchor, block, code, join, json_text, table
from kernel_bridge.event_contents import Event
from rpc import error_docs, examples
from rpc.examples import Example, Step
from rpc.messages import SubscriptionEnded
from rpc.methods import REGISTRY
from rpc.openrpc import paragraphs, summary
from rpc.registry import Method
from rpc.schemas import structs_in

URL = "http://127.0.0.1:8787"
_HEAD = """
Calls are JSON-RPC 2.0 to `POST /rpc`, or over the WebSocket `GET /ws`. Params go by name; by position only the first is
promised to stay where it is. Every method takes the token as the header `Authorization: Bearer TOKEN` or as the member
`token` of its params. Times are RFC 3339 in UTC, durations seconds, sizes bytes, positions in code Unicode code points.
Ignore members that you do not know. What any call may get are the [standard errors](errors.md) of JSON-RPC; the others
are listed with each method.

The examples are run against the service by its tests; times, ids and tokens are different ones each time. In them
`$token` holds the token that `login` answered.
"""


def page() -> str:
    """The text of the page."""
    shown = examples.shown(examples.load())
    single = _single_results()
    shared = {kind for result in (*_results(), Event) for kind in structs_in([result])} - single
    return join(
        "# Methods",
        _HEAD.strip(),
        table(("method", "what"), ((f"[{name}](#{anchor(name)})", summary(entry)) for name, entry in REGISTRY.items())),
        "What a WebSocket sends by itself is under [Notifications](#notifications), results that several methods share "
        "under [Shared structs](#shared-structs).",
        *(_method(entry, [one for one in shown if one.method == entry.name], single) for entry in REGISTRY.values()),
        "## Notifications",
        "Over a WebSocket the service sends these by itself. `output`: the members `subscription` and `session`, then "
        "those of the result of [poll_output](#poll_output). `subscription_ended`: the service has ended one.",
        structs.members(SubscriptionEnded),
        "## Shared structs",
        *(_struct(kind) for kind in sorted(shared, key=lambda kind: kind.__name__)),
    )


def _method(entry: Method[Any], shown: Sequence[Example], single: set[Any]) -> str:
    own = structs.members(entry.result) if entry.result in single else ""
    linked = "" if own else f"[{entry.result.__name__}](#{entry.result.__name__.lower()})"
    about = (entry.result.__doc__ or "").split("\n\n")[0] if own and not _is_signature(entry.result) else ""
    return join(
        f"## {entry.name}",
        *paragraphs(entry),
        _needs(entry),
        structs.params(entry) or "No params.",
        f"**Result:** {linked or about or 'an object'}",
        own,
        _errors(entry),
        *(_example(example) for example in shown),
    )


def _needs(entry: Method[Any]) -> str:
    if not entry.token:
        return "**Needs** no token."
    scope = f" with the scope {code(entry.scope)}" if entry.scope else ""
    return f"**Needs** a token{scope}." + (" Over WebSockets only." if entry.websocket else "")


def _errors(entry: Method[Any]) -> str:
    names = [f"[{doc.name}](errors.md#{anchor(doc.name)})" for doc in error_docs.of_method(entry)]
    return f"**Errors:** {', '.join(names)}"


def _example(example: Example) -> str:
    begin = next((n for n, step in enumerate(example.steps) if _calls(step, example.method)), 0)
    steps = (_step(step, example.method, leads=n < begin) for n, step in enumerate(example.steps))
    return join(f"*{example.title}*", *steps)


def _calls(step: Step, method: str) -> bool:
    return not isinstance(step.request, dict) or step.request["method"] == method


def _step(step: Step, method: str, *, leads: bool) -> str:
    """A call and its answer; of the calls that only lead to the method, the call alone."""
    if REGISTRY[method].websocket:
        received = [] if leads else [step.answer, *step.notifications]
        return f"Sent:\n{block(json_text(step.request), 'json')}" + "".join(
            f"\nReceived:\n{block(json_text(message), 'json')}" for message in received
        )
    call = block(_curl(step), "sh")
    if leads or step.answer is None:
        return call
    return f"{call}\n{block(json_text(step.answer), 'json')}"


def _curl(step: Step) -> str:
    header = ' -H "Authorization: Bearer $token"' if step.token else ""
    return f"curl -s {URL}/rpc{header} --json {shlex.quote(json.dumps(step.request, ensure_ascii=False))}"


def _results() -> set[Any]:
    return {entry.result for entry in REGISTRY.values()}


def _single_results() -> set[Any]:
    """Results that are those of one method: they are shown with it."""
    all_of_them = [entry.result for entry in REGISTRY.values()]
    inner = {kind for result in all_of_them for kind in structs_in([result]) if kind is not result}
    return {kind for kind in all_of_them if all_of_them.count(kind) == 1 and kind not in inner}


def _struct(kind: Any) -> str:
    about = "" if _is_signature(kind) else " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return join(f"### {kind.__name__}", about, structs.members(kind))


def _is_signature(kind: Any) -> bool:
    """A struct without a docstring of its own."""
    return not kind.__doc__ or kind.__doc__.startswith(f"{kind.__name__}(")
