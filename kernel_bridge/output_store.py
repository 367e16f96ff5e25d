"""The outputs of one cell within a bound: their head and their tail."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO

from kernel_bridge.utf8 import pieces, utf8_size

OVERHEAD_BYTES = 128
"""what an output costs beside its bytes, so that a flood of empty ones is bounded too"""


@dataclass(slots=True, eq=False)
class StreamChunk:
    """A piece of a stream's text, made of events number `first` to `last`. `size`: bytes of UTF-8."""

    name: str
    first: int
    last: int
    size: int = 0
    text: StringIO = field(default_factory=StringIO)
    in_head: bool = False


@dataclass(slots=True, eq=False)
class Body:
    """The part of a rich output's JSON that an update replaces. The first update of a display id makes its displays
    share one body, so that a flood of updates costs no more than one each."""

    json: bytes
    in_head: int = 0  # how many outputs of the head show it
    in_tail: int = 0
    merged_into: "Body | None" = None


@dataclass(slots=True, eq=False)
class RichOutput:
    """An output that is no stream, held as the JSON of its notebook form, which takes less memory than objects do:
    `start`, which is its own for ever, and a body."""

    start: bytes
    own_body: Body
    display_id: str | None = None
    in_head: bool = False

    @property
    def body(self) -> Body:
        return self.own_body.merged_into or self.own_body

    @property
    def json(self) -> bytes:
        return self.start + self.body.json

    @property
    def size(self) -> int:
        return len(self.start) + len(self.body.json)


Entry = StreamChunk | RichOutput


class OutputStore:
    """Holds at most `max_bytes` (>= 1,024). Outputs fill one half, the head; when one does not fit there any more, it
    and the rest go to the tail, which takes what the head left and drops its oldest outputs and stream chunks. Each
    output or chunk counts 128 bytes more than its size.

    Adding costs amortised constant time a byte. `dropped_bytes` and `dropped_events`: what is missing between head
    and tail.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 1024:
            raise ValueError("max_bytes: expected at least 1024")
        self.max_bytes = max_bytes
        self._chunk_bytes = max(64, max_bytes // 32)
        self.clear()

    def clear(self) -> None:
        """Forget everything, also what was dropped."""
        self.head: list[Entry] = []
        self.tail: deque[Entry] = deque()
        self._head_cost = 0
        self._tail_cost = 0
        self._head_full = False
        self._last: StreamChunk | None = None  # the chunk that a stream may go on in
        self._stream_events = 0
        self._counted = 0  # number of the newest stream event that dropped_events counts
        self._displays: dict[str, list[Body]] = {}  # the first one is the one that others merge into
        self.dropped_bytes = 0
        self.dropped_events = 0

    @property
    def display_ids(self) -> Iterator[str]:
        """Ids of the displays that are held."""
        return iter(self._displays)

    def add_stream(self, name: str, text: str) -> None:
        """Add the text of one stream event."""
        self._stream_events += 1
        for piece in pieces(text, self._chunk_bytes):
            size = utf8_size(piece)
            chunk = self._last
            if chunk is None or chunk.name != name or not self._fits_into(chunk, size):
                chunk = StreamChunk(name, self._stream_events, self._stream_events)
                self._place(chunk, size + OVERHEAD_BYTES)
                self._last = chunk
            elif chunk.in_head:
                self._head_cost += size
            else:
                self._tail_cost += size
            chunk.text.write(piece)
            chunk.size += size
            chunk.last = self._stream_events
            self._shrink()

    def add(self, output: RichOutput, missing: int = 0) -> None:
        """Add an output that is no stream, of which `missing` bytes were cut off at its begin. One that is larger than
        all that may give way for it is dropped."""
        cost = output.size + OVERHEAD_BYTES
        self._last = None
        if self._head_cost + cost > self.max_bytes:
            self.count_missing(output.size + missing)
            return
        if missing:
            self.count_missing(missing)
        self._place(output, cost)
        body = output.own_body
        body.in_head, body.in_tail = (1, 0) if output.in_head else (0, 1)
        if output.display_id is not None:
            self._displays.setdefault(output.display_id, []).append(body)
        self._shrink()

    def restore(self, head: Sequence[Entry], tail: Sequence[Entry]) -> None:
        """Hold these entries again, as an empty store; then only update() may follow."""
        for entry in head:
            entry.in_head = True
            self._head_cost += entry.size + OVERHEAD_BYTES
        self._tail_cost = sum(entry.size + OVERHEAD_BYTES for entry in tail)
        self.head, self.tail = list(head), deque(tail)
        for entry in (*head, *tail):
            if isinstance(entry, RichOutput) and entry.display_id is not None:
                body = entry.own_body
                body.in_head, body.in_tail = (1, 0) if entry.in_head else (0, 1)
                self._displays.setdefault(entry.display_id, []).append(body)

    def update(self, display_id: str, json: bytes) -> bool:
        """Give all displays with this id the body `json`; False if none is held. Displays that make the head too
        large are dropped."""
        bodies = self._displays.get(display_id)
        if bodies is None:
            return False
        for body in bodies:
            growth = len(json) - len(body.json)
            self._head_cost += growth * body.in_head
            self._tail_cost += growth * body.in_tail
            body.json = json
        shared, others = bodies[0], bodies[1:]
        for body in others:
            body.merged_into = shared
            shared.in_head += body.in_head
            shared.in_tail += body.in_tail
        bodies[:] = [shared]
        self._shrink()
        if self._head_cost + self._tail_cost > self.max_bytes:
            self._remove_from_head(shared)
        return True

    def count_missing(self, size: int, events: int = 1) -> None:
        """Output of `size` bytes never came here."""
        self._head_full = True
        self._last = None
        self.dropped_bytes += size
        self.dropped_events += events

    def _fits_into(self, chunk: StreamChunk, size: int) -> bool:
        if chunk.size + size > self._chunk_bytes:
            return False
        return not chunk.in_head or (not self._head_full and self._head_cost + size <= self.max_bytes // 2)

    def _place(self, entry: Entry, cost: int) -> None:
        if not self._head_full and self._head_cost + cost <= self.max_bytes // 2:
            entry.in_head = True
            self.head.append(entry)
            self._head_cost += cost
        else:
            self._head_full = True
            self.tail.append(entry)
            self._tail_cost += cost

    def _shrink(self) -> None:
        while self.tail and self._head_cost + self._tail_cost > self.max_bytes:
            entry = self.tail.popleft()
            self._tail_cost -= entry.size + OVERHEAD_BYTES
            if entry is self._last:
                self._last = None
            self._count(entry)

    def _remove_from_head(self, body: Body) -> None:
        """Drop the outputs that show `body`, the last one first, until the head is small enough. The tail is empty."""
        head: list[Entry] = []
        for entry in reversed(self.head):
            if self._head_cost > self.max_bytes and isinstance(entry, RichOutput) and entry.body is body:
                self._head_cost -= entry.size + OVERHEAD_BYTES
                self._count(entry)
            else:
                head.append(entry)
        self.head = head[::-1]
        self._head_full = True
        self._last = None

    def _count(self, entry: Entry) -> None:
        self.dropped_bytes += entry.size
        if isinstance(entry, StreamChunk):
            self.dropped_events += max(0, entry.last - max(entry.first, self._counted + 1) + 1)
            self._counted = max(self._counted, entry.last)
            return
        self.dropped_events += 1
        body = entry.body
        if entry.in_head:
            body.in_head -= 1
        else:
            body.in_tail -= 1
        bodies = self._displays.get(entry.display_id, []) if entry.display_id is not None else []
        if not body.in_head + body.in_tail and body in bodies:
            bodies.remove(body)
            if not bodies and entry.display_id is not None:
                del self._displays[entry.display_id]
