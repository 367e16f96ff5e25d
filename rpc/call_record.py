"""What remains of a call: a line in the log, a count in the metrics and, if calls are traced, a span."""

import logging
import time

from kernel_bridge.log_context import session_in_log
from rpc import logs
from rpc.context import Context
from rpc.metrics import UNKNOWN

SPAN = "rpc.call"


class CallRecord:
    """Begun before a method runs, ended once with its outcome."""

    def __init__(self, method: str, context: Context) -> None:
        self._method = method
        self._context = context
        self._started = time.monotonic()
        tracer = context.services.tracer
        if tracer is not None and method != UNKNOWN:
            context.span = tracer.start(
                SPAN, context.exchange.traceparent, method=method, request_id=context.request_id
            )

    def end(self, outcome: str | int) -> None:
        """`outcome`: ok, the code of the error, or gone (nobody waits any more)."""
        context = self._context
        duration_s = time.monotonic() - self._started
        session = session_in_log(context.session_id)
        logs.event(
            logging.INFO,
            "rpc.call",
            request_id=context.request_id,
            method=self._method,
            session=session,
            duration_ms=round(duration_s * 1000, 1),
            outcome=outcome,
        )
        context.services.metrics.call(self._method, outcome, duration_s)
        if context.span is not None:
            context.span.end(failed=outcome != "ok", outcome=outcome, **({"session": session} if session else {}))
