"""Methods that act on kernels."""

from kernel_bridge import hop, results
from rpc.context import Context
from rpc.messages import InputReplyParams, InterruptParams, Nothing
from rpc.registry import method


@method("interrupt", params=InterruptParams, result=results.Interruption)
async def interrupt(context: Context, params: InterruptParams) -> hop.Answer[results.Interruption]:
    """Interrupt what runs, or the given `cell`: a queued one is cancelled. Returns which step worked."""
    request = hop.Interrupt(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        cell=params.cell,
    )
    return await context.ask(request, context.services.settings.interrupt_s)


@method("input_reply", params=InputReplyParams, result=results.InputTaken)
async def input_reply(context: Context, params: InputReplyParams) -> hop.Answer[results.InputTaken]:
    """Answer an input_request event; the first answer wins."""
    return await context.ask(
        hop.InputReply(
            caller=context.caller,
            request_id=context.request_id,
            session=context.session(params.session),
            id=params.id,
            value=params.value,
        )
    )


@method("list_kernels", params=Nothing, result=results.Kernelspecs, scope="read")
async def list_kernels(context: Context, _: Nothing) -> hop.Answer[results.Kernelspecs]:
    """The kernelspecs that a session can have."""
    return await context.ask(hop.ListKernels(caller=context.caller, request_id=context.request_id))
