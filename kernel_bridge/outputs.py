"""A cell's events folded into notebook outputs, as they come."""

from collections.abc import Iterable
from typing import Any

import msgspec

from kernel_bridge import notebook_output as notebook
from kernel_bridge.ansi import overwrite, strip
from kernel_bridge.events import NewEvent
from kernel_bridge.output_store import Body, Entry, OutputStore, RichOutput, StreamChunk
from kernel_bridge.results import Truncated
from kernel_bridge.utf8 import utf8_size

MAX_OUTPUT_BYTES = 1 << 20

_DISPLAY = b'{"output_type":"display_data",'
_RESULT = b'{"output_type":"execute_result","execution_count":%b,'


class OutputFold:
    r"""The outputs of one cell: streams joined, `clear_output` and `update_display_data` applied, at most `max_bytes`
    (>= 1,024) of them, whatever comes (see OutputStore for what is kept).

    `outputs` hold stream texts raw, with escape sequences, `\r` and `\b`, as nbclient stores them; only text() shows
    them as a terminal would. Where something was dropped, `outputs` say nothing (a stream cut there is two outputs),
    text() has a line about it. Other types of events are ignored.

    Attributes:
        execution_count: as the kernel counts, None until it said so.
    """

    def __init__(self, max_bytes: int = MAX_OUTPUT_BYTES) -> None:
        self.execution_count: int | None = None
        self._store = OutputStore(max_bytes)
        self._clear_at_next = False

    def add(self, event: NewEvent) -> None:
        """Fold one event of the cell."""
        fields = event.fields
        match event.type:
            case "stream":
                self._stream(fields)
            case "execute_input":
                self._count(fields)
            case "display_data":
                self._rich(_DISPLAY, fields)
            case "execute_result":
                self._execute_result(fields)
            case "update_display_data":
                self._update_display_data(fields)
            case "error":
                self._error(fields)
            case "clear_output":
                self._clear_output(fields)
            case "omitted":
                self._missing(fields)
            case "dropped":
                self._missing(fields, notebook.count(fields.get("count")) or 1)
            case _:
                pass

    def add_page(self, data: dict[str, Any]) -> None:
        """Add a page text (payload of an execute_reply with source `page`) as a display marked as such."""
        self._begin_output()
        body = _body(data, {"kernelwire": {"page": True}})
        self._store.add(RichOutput(_DISPLAY, Body(body)))

    def add_missing(self, size: int, events: int) -> None:
        """Outputs that will not come: at most `events` of them, of `size` bytes."""
        self._begin_output()
        self._store.count_missing(size, events)

    def update_display(self, display_id: str, data: dict[str, Any], metadata: dict[str, Any]) -> bool:
        """Give the displays of this id new data, as `update_display_data` of whichever cell asks; False if this cell
        holds none."""
        return self._store.update(display_id, _body(data, metadata))

    @property
    def display_ids(self) -> set[str]:
        """The ids that update_display() would find."""
        return set(self._store.display_ids)

    def displays(self) -> dict[str, list[int]]:
        """By display id the places in outputs() that an update changes."""
        if not self.display_ids:
            return {}
        head, tail = list(self._store.head), list(self._store.tail)
        parts = [head, tail] if self._store.dropped_events else [head + tail]
        found: dict[str, list[int]] = {}
        place = 0
        for part in parts:
            stream: str | None = None  # the one that the next chunk may go on in
            for entry in part:
                if isinstance(entry, RichOutput):
                    if entry.display_id is not None:
                        found.setdefault(entry.display_id, []).append(place)
                    stream = None
                    place += 1
                elif entry.name != stream:
                    stream = entry.name
                    place += 1
        return found

    @classmethod
    def restored(
        cls,
        outputs: list[dict[str, Any]],
        displays: dict[str, list[int]],
        truncated: Truncated | None,
        max_bytes: int = MAX_OUTPUT_BYTES,
    ) -> "OutputFold":
        """The fold that gave these outputs(), displays() and truncated, for update_display(); not for add()."""
        fold = cls(max_bytes)
        ids = {place: display_id for display_id, places in displays.items() for place in places}
        entries = [_entry(output, ids.get(place)) for place, output in enumerate(outputs)]
        at = truncated.at if truncated is not None else len(entries)
        fold._store.restore(entries[:at], entries[at:])
        if truncated is not None:
            fold._store.dropped_bytes, fold._store.dropped_events = truncated.bytes, truncated.events
        return fold

    @property
    def truncated(self) -> Truncated | None:
        """What is missing in outputs() and text(): bytes of stream text or of an output's JSON, and the number of
        events that are there in part or not at all."""
        missing = self._store.dropped_events
        if not missing:
            return None
        return Truncated(self._store.dropped_bytes, missing, at=len(_notebook_outputs(self._store.head)))

    def outputs(self) -> list[dict[str, Any]]:
        """Outputs in notebook format 4, made anew at each call."""
        head, tail = list(self._store.head), list(self._store.tail)
        if self._store.dropped_events:
            return _notebook_outputs(head) + _notebook_outputs(tail)
        return _notebook_outputs(head + tail)

    def text(self) -> str:
        """The outputs as a terminal would show them: streams, text/plain, tracebacks; each rich output on a line of
        its own, no newline added at the end."""
        if not self._store.dropped_events:
            return overwrite(strip(_terminal_text([*self._store.head, *self._store.tail], "")))
        shown = _terminal_text(self._store.head, "")
        shown += ("\n" if shown and not shown.endswith("\n") else "") + (
            f"... {self._store.dropped_bytes} bytes omitted ...\n"
        )
        return overwrite(strip(_terminal_text(self._store.tail, shown)))

    def _begin_output(self) -> None:
        if self._clear_at_next:
            self._clear_at_next = False
            self._store.clear()

    def _stream(self, fields: dict[str, Any]) -> None:
        text = fields.get("text")
        if isinstance(text, str) and text:
            self._begin_output()
            self._store.add_stream("stderr" if fields.get("name") == "stderr" else "stdout", text)

    def _execute_result(self, fields: dict[str, Any]) -> None:
        self._count(fields)
        count = msgspec.json.encode(notebook.count(fields.get("execution_count")))
        self._rich(_RESULT % count, fields)

    def _rich(self, start: bytes, fields: dict[str, Any]) -> None:
        self._begin_output()
        body = Body(_body(fields.get("data"), fields.get("metadata")))
        self._store.add(RichOutput(start, body, _display_id(fields)))

    def _update_display_data(self, fields: dict[str, Any]) -> None:
        display_id = _display_id(fields)
        if display_id is not None:
            self._store.update(display_id, _body(fields.get("data"), fields.get("metadata")))

    def _error(self, fields: dict[str, Any]) -> None:
        self._begin_output()
        output, missing = notebook.error(fields, self._store.max_bytes // 2)
        self._store.add(RichOutput(b"", Body(msgspec.json.encode(output))), missing)

    def _clear_output(self, fields: dict[str, Any]) -> None:
        if fields.get("wait"):
            self._clear_at_next = True
        else:
            self._clear_at_next = False
            self._store.clear()

    def _count(self, fields: dict[str, Any]) -> None:
        count = notebook.count(fields.get("execution_count"))
        if count is not None:
            self.execution_count = count

    def _missing(self, fields: dict[str, Any], events: int = 1) -> None:
        self._begin_output()
        self._store.count_missing(notebook.count(fields.get("bytes")) or 0, events)


def _body(data: Any, metadata: Any) -> bytes:
    """The part of an output's JSON that an update replaces, up to the end."""
    bundle = msgspec.json.encode(notebook.mime_bundle(data))
    return b'"data":%b,"metadata":%b}' % (bundle, msgspec.json.encode(notebook.json_object(metadata)))


def _entry(output: dict[str, Any], display_id: str | None) -> Entry:
    """What the store holds of an output in notebook format."""
    match output["output_type"]:
        case "stream":
            chunk = StreamChunk(output["name"], 0, 0, utf8_size(output["text"]))
            chunk.text.write(output["text"])
            return chunk
        case "error":
            return RichOutput(b"", Body(msgspec.json.encode(output)))
        case "execute_result":
            start = _RESULT % msgspec.json.encode(output["execution_count"])
        case _:
            start = _DISPLAY
    return RichOutput(start, Body(_body(output["data"], output["metadata"])), display_id)


def _display_id(fields: dict[str, Any]) -> str | None:
    display_id = notebook.json_object(fields.get("transient")).get("display_id")
    return display_id if isinstance(display_id, str) and 0 < len(display_id) <= 1024 else None


def _decode(output: RichOutput) -> dict[str, Any]:
    return msgspec.json.decode(output.json, type=dict[str, Any])


def _notebook_outputs(entries: list[Entry]) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    texts: list[str] = []  # of the stream that is last in outputs
    for entry in entries:
        if isinstance(entry, RichOutput):
            outputs.append(_decode(entry))
            continue
        if not outputs or outputs[-1].get("name") != entry.name:
            texts = []
            outputs.append({"output_type": "stream", "name": entry.name, "text": texts})
        texts.append(entry.text.getvalue())
    for output in outputs:
        if output["output_type"] == "stream":
            output["text"] = "".join(output["text"])
    return outputs


def _terminal_text(entries: Iterable[Entry], before: str) -> str:
    """`before` and then the entries, as they are printed one after the other."""
    parts = [before]
    last, last_is_rich = before, False
    for entry in entries:
        is_rich = isinstance(entry, RichOutput)
        part = notebook.plain(_decode(entry)) if isinstance(entry, RichOutput) else entry.text.getvalue()
        if not part:
            continue
        if (is_rich or last_is_rich) and last and not last.endswith("\n"):
            parts.append("\n")
        parts.append(part)
        last, last_is_rich = part, is_rich
    return "".join(parts)
