"""Methods that read what cells put out."""

from kernel_bridge import hop, results
from rpc.context import Context
from rpc.messages import PollOutputParams
from rpc.registry import method


@method("poll_output", params=PollOutputParams, result=results.Page, scope="read")
async def poll_output(context: Context, params: PollOutputParams) -> hop.Answer[results.Page]:
    """The events after `cursor`, in order: at once when there are any, else within `wait` seconds.

    Raises LimitExceeded (long_polls), and the host's errors.
    """
    wait_s = context.wait_s(params.wait)
    request = hop.PollOutput(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        cursor=params.cursor,
        cell=params.cell,
        wait=wait_s,
        limit=params.limit,
        max_bytes=params.max_bytes,
    )
    with context.waiting(wait_s):
        return await context.ask(request, wait_s)
