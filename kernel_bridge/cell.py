"""One evaluation's life: what is known of a cell until it has ended."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec import Struct

from kernel_bridge.clock import rfc3339
from kernel_bridge.execute_reply import ExecuteReply
from kernel_bridge.hop import Evaluate
from kernel_bridge.moment import Moment
from kernel_bridge.outputs import OutputFold
from kernel_bridge.results import Cell, CellEnd, CellState, Exit, InterruptStep
from kernel_bridge.tracing import CellTrace

_encoder = msgspec.json.Encoder()


class ExecuteRequest(Struct, frozen=True):
    """Content of execute_request. stop_on_error is always false: the host's own queue aborts, exactly."""

    code: str
    silent: bool
    store_history: bool
    user_expressions: dict[str, str]
    allow_stdin: bool
    stop_on_error: bool = False


@dataclass(slots=True, eq=False)
class LiveCell:
    """A cell that is queued, runs, or ended just now. The host's session owns it; `ended` is set once, at its end."""

    session: str
    id: str
    request: Evaluate
    fold: OutputFold
    queued_at: datetime
    state: CellState = "queued"
    end: CellEnd | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    execution_count: int | None = None
    cursor: int = 0
    queued_seq: int = 0
    saved: bool = False
    """recorded before its end, as its first events may be dropped by retention"""
    runs_after: int = 0
    """newest seq of the log when it began to run; its outputs come behind that"""
    runs_after_bytes: int = 0
    """size of all event lines up to there, those included that retention has removed"""
    may_kill: bool = False
    """interrupting it may go as far as killing the kernel"""
    exit: Exit | None = None
    reply: ExecuteReply | None = None
    idle: bool = False
    input_id: str | None = None
    stdin_live: bool = False
    """its input requests and their answers go over this host's stdin channel: what kernelwire_sync says is older"""
    input_by_sync: bool = False
    """the input that it waits for became known by kernelwire_sync, not by the kernel's own request"""
    resumed: bool = False
    """it began under a host that died: a `gap` says already that something of it may be missing"""
    interrupted: bool = False
    timed_out: bool = False
    forced_end: CellEnd | None = None
    """its kernel is being ended on purpose: how the cell ends then, unless its reply comes first"""
    grace: asyncio.TimerHandle | None = None
    """runs while only one of reply and idle is there"""
    timer: asyncio.TimerHandle | None = None
    """runs until its `timeout` is over"""
    trace: CellTrace | None = None
    """its spans, if the call that queued it is traced"""
    escalation: "asyncio.Task[InterruptStep] | None" = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """the kernel has begun with it: from now on a SIGINT reaches it"""
    completed: Moment = field(default_factory=Moment)
    """reply and idle are there, or will not come"""
    ended: Moment = field(default_factory=Moment)
    record: bytes | None = None
    """once it has ended: results.Cell as JSON, as it was recorded"""

    def execute_request(self) -> ExecuteRequest:
        asked = self.request
        return ExecuteRequest(
            asked.code, asked.silent, asked.store_history, asked.user_expressions or {}, asked.allow_stdin
        )

    def take_reply(self, reply: ExecuteReply) -> None:
        """Its kernel has answered."""
        self.reply = reply
        if reply.execution_count is not None and not self.request.silent:
            self.execution_count = reply.execution_count

    def end_by(self, *, closing: bool) -> CellEnd:
        """How a cell ends that has completed: by its reply or what was done to it. `closing`: its session is."""
        if self.reply is None:
            if self.timed_out:
                return "timeout"
            if self.forced_end is not None and not closing:
                return self.forced_end
            if self.interrupted:
                return "interrupted"
            if closing:
                return "closed"
            if self.exit is not None:
                return "kernel_died"
        return self.end_by_reply()

    def end_by_reply(self) -> CellEnd:
        """The end that the kernel's reply says, given what was done to the cell meanwhile (API.md, "A cell")."""
        if self.timed_out:
            return "timeout"
        if self.reply is None:
            return "interrupted" if self.interrupted else "lost"
        if self.reply.status == "ok":
            return "ok"
        if self.interrupted:
            return "interrupted"
        return "error" if self.reply.status == "error" else "aborted"

    def json(self) -> bytes:
        """The cell as clients see it now, as JSON."""
        return self.record if self.record is not None else _encoder.encode(self.snapshot())

    def snapshot(self) -> Cell:
        """The cell as clients see it now."""
        reply = self.reply
        return Cell(
            session=self.session,
            cell=self.id,
            code=self.request.code,
            user=self.request.caller.user,
            user_id=self.request.caller.user_id,
            metadata=self.request.metadata or {},
            state=self.state,
            end=self.end,
            execution_count=self.execution_count,
            text=self.fold.text(),
            outputs=self.fold.outputs(),
            outputs_truncated=self.fold.truncated,
            user_expressions=reply.user_expressions if reply is not None else None,
            payload=reply.payload if reply is not None else [],
            cursor=self.cursor,
            queued_at=rfc3339(self.queued_at),
            started_at=rfc3339(self.started_at) if self.started_at else None,
            finished_at=rfc3339(self.finished_at) if self.finished_at else None,
            exit=self.exit,
            queued_seq=self.queued_seq,
            silent=self.request.silent,
            store_history=self.request.store_history,
            displays=self.fold.displays(),
        )
