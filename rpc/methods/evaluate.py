"""Methods that run code."""

import hashlib

from kernel_bridge import hop, results
from kernel_bridge.errors import CellConflict
from rpc.context import Context
from rpc.limits import check_code, check_metadata
from rpc.messages import EvaluateParams
from rpc.registry import method


@method("evaluate", params=EvaluateParams, result=results.Cell, scope="evaluate", raises=(CellConflict,))
async def evaluate(context: Context, params: EvaluateParams) -> hop.Answer[results.Cell]:
    """Queue a cell and return it when it is done or `wait` is over, in the same shape; the cell goes on.

    Empty code is code: the cell runs and ends ok. A notification is answered once its cell is queued.
    Raises LimitExceeded (code_bytes, metadata_bytes, long_polls), and the host's errors.
    """
    services = context.services
    check_code(services.settings, params.code, params.user_expressions)
    check_metadata(services.settings, params.metadata)
    wait_s = context.wait_s(params.wait)
    request = hop.Evaluate(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        code=params.code,
        wait=wait_s,
        cell=params.cell,
        metadata=params.metadata,
        silent=params.silent,
        store_history=params.store_history,
        allow_stdin=params.allow_stdin,
        stop_on_error=params.stop_on_error,
        user_expressions=params.user_expressions,
        timeout=params.timeout,
    )
    if services.audit.enabled:
        code = params.code.encode()
        digest = hashlib.sha256(code).hexdigest()
        context.record("evaluate", session=request.session, cell=params.cell, code_bytes=len(code), code_sha256=digest)
    with context.waiting(wait_s):
        return await context.ask(request, wait_s)
