"""Methods that talk to comms: widgets."""

from kernel_bridge import hop, kernel_results
from kernel_bridge.errors import KernelBusy, KernelDied, KernelStartFailed
from rpc.comm_messages import CommMsgParams, CommOpenParams
from rpc.context import Context
from rpc.limits import check_object
from rpc.registry import method

_KERNEL_ERRORS = (KernelStartFailed, KernelDied, KernelBusy)


@method("comm_open", params=CommOpenParams, result=kernel_results.CommSent, scope="evaluate", raises=_KERNEL_ERRORS)
async def comm_open(context: Context, params: CommOpenParams) -> hop.Answer[kernel_results.CommSent]:
    """Open a comm to a target that the kernel has registered; the kernel is started if it does not run.

    Where the kernel has subshells, such a comm lives on one: its messages do not wait behind a running cell. What it
    causes are events of no cell.
    """
    _check(params)
    request = hop.CommOpen(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        target_name=params.target_name,
        comm_id=params.comm_id,
        data=params.data,
        metadata=params.metadata,
        buffers=params.buffers,
    )
    return await context.ask(request, _extra_s(context))


@method("comm_msg", params=CommMsgParams, result=kernel_results.CommSent, scope="evaluate", raises=_KERNEL_ERRORS)
async def comm_msg(context: Context, params: CommMsgParams) -> hop.Answer[kernel_results.CommSent]:
    """Send a message to a comm, to change a widget's value for instance.

    The kernel ignores it if it has no such comm. Messages of one comm arrive in the order in which the host got them.
    ipykernel handles one for a widget that a cell made while an async cell awaits, else between cells.
    """
    _check(params)
    request = hop.CommMsg(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        comm_id=params.comm_id,
        data=params.data,
        metadata=params.metadata,
        buffers=params.buffers,
    )
    return await context.ask(request, _extra_s(context))


@method("comm_close", params=CommMsgParams, result=kernel_results.CommSent, scope="evaluate", raises=_KERNEL_ERRORS)
async def comm_close(context: Context, params: CommMsgParams) -> hop.Answer[kernel_results.CommSent]:
    """Close a comm."""
    _check(params)
    request = hop.CommClose(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        comm_id=params.comm_id,
        data=params.data,
        metadata=params.metadata,
        buffers=params.buffers,
    )
    return await context.ask(request, _extra_s(context))


def _check(params: CommOpenParams | CommMsgParams) -> None:
    """Raises InvalidParams for what cannot reach the host."""
    check_object("data", params.data)
    check_object("metadata", params.metadata)


def _extra_s(context: Context) -> float:
    # The kernel may have to start first, and to make a subshell.
    settings = context.services.settings
    return settings.kernel_start_s + settings.introspection_s
