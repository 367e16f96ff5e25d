"""Methods that act on kernels."""

from kernel_bridge import hop, kernel_results, results
from kernel_bridge.errors import KernelStartFailed, NotWaitingForInput
from rpc.context import Context
from rpc.messages import InputReplyParams, InSessionParams, InterruptParams, Nothing
from rpc.registry import method


@method("interrupt", params=InterruptParams, result=results.Interruption, scope="evaluate")
async def interrupt(context: Context, params: InterruptParams) -> hop.Answer[results.Interruption]:
    """Interrupt what runs, or the given `cell`: a queued one is cancelled. Returns which step worked."""
    request = hop.Interrupt(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        cell=params.cell,
    )
    return await context.ask(request, context.services.settings.interrupt_s)


@method(
    "input_reply", params=InputReplyParams, result=results.InputTaken, scope="evaluate", raises=(NotWaitingForInput,)
)
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


@method(
    "restart", params=InSessionParams, result=kernel_results.Restarted, scope="evaluate", raises=(KernelStartFailed,)
)
async def restart(context: Context, params: InSessionParams) -> hop.Answer[kernel_results.Restarted]:
    """Put a new kernel in place of the session's, which keeps its directory and log; answers when it is ready.

    The running cell ends as `restarted`, those in the queue as `aborted`. It works while the kernel starts, runs a
    cell, waits for input or is dead.
    """
    request = hop.Restart(caller=context.caller, request_id=context.request_id, session=context.session(params.session))
    settings = context.services.settings
    return await context.ask(request, settings.kernel_start_s + settings.interrupt_s)


@method(
    "kernel_info",
    params=InSessionParams,
    result=kernel_results.KernelInfo,
    scope="evaluate",
    raises=(KernelStartFailed,),
)
async def kernel_info(context: Context, params: InSessionParams) -> hop.Answer[kernel_results.KernelInfo]:
    """What the session's kernel said of itself when it started; it is started if it does not run."""
    request = hop.KernelInfo(
        caller=context.caller, request_id=context.request_id, session=context.session(params.session)
    )
    return await context.ask(request, context.services.settings.kernel_start_s)


@method("list_kernels", params=Nothing, result=results.Kernelspecs, scope="read")
async def list_kernels(context: Context, _: Nothing) -> hop.Answer[results.Kernelspecs]:
    """The kernelspecs that a session can have."""
    return await context.ask(hop.ListKernels(caller=context.caller, request_id=context.request_id))
