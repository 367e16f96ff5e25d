"""docs/reference/events.md."""

from docs.generator import structs
from docs.generator.markdown import block, code, contents, join, json_text, table
from kernel_bridge.event_contents import EVENT_TYPES, Event, EventType
from rpc import examples
from rpc.examples import Example

_HEAD = """
A session's log is a sequence of events; `poll_output` and subscriptions give them in this order, the same to every
reader. A `cursor` is the last seq that was seen: events with a greater one come. Events of Jupyter's types carry the
kernel's own content: the members below are what the protocol says, but code in a cell can send anything, so do not take
them for granted. Nothing that it sends can pass for an event of the service. Ignore types that you do not know.
"""


def page() -> str:
    """The text of the page."""
    kinds = [content for event in EVENT_TYPES.values() for content in event.contents]
    return join(
        "# Events",
        contents(["The event", *EVENT_TYPES]),
        _HEAD.strip(),
        "## The event",
        structs.members(Event),
        _example(),
        table(("type", "whose", "what"), (_row(name, event) for name, event in EVENT_TYPES.items())),
        *(_section(name, event) for name, event in EVENT_TYPES.items()),
        "## Parts of contents",
        *(f"### {kind.__name__}\n\n{structs.members(kind)}" for kind in structs.nested(kinds)),
    )


def _row(name: str, event: EventType) -> tuple[str, str, str]:
    about = " ".join(" ".join((kind.__doc__ or "").split()) for kind in event.contents)
    return f"[{code(name)}](#{name})", "the kernel's" if event.jupyter else "the service's", about


def _section(name: str, event: EventType) -> str:
    about = [(" ".join((kind.__doc__ or "").split()), structs.members(kind)) for kind in event.contents]
    return join(f"## {name}", *(part for pair in about for part in pair))


def _example() -> str:
    """The events of the first example of poll_output."""
    found: list[Example] = [one for one in examples.shown(examples.load()) if one.method == "poll_output"]
    for example in found:
        answer = example.calls()[-1].answer
        if isinstance(answer, dict) and "result" in answer:
            lines = "\n".join(json_text(event) for event in answer["result"]["events"])
            return f'All events of a cell with the code `print("hello")` and `6 * 7`:\n\n{block(lines, "json")}'
    return ""
