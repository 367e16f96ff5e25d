"""Methods that look at code and objects without running anything of the user's."""

from kernel_bridge import hop, kernel_results, results
from kernel_bridge.errors import KernelBusy, KernelDied, KernelStartFailed
from rpc.context import Context
from rpc.limits import check_code
from rpc.messages import CompleteParams, InspectParams, IsCompleteParams
from rpc.registry import method

_KERNEL_ERRORS = (KernelStartFailed, KernelDied, KernelBusy)


@method("complete", params=CompleteParams, result=results.Completion, scope="evaluate", raises=_KERNEL_ERRORS)
async def complete(context: Context, params: CompleteParams) -> hop.Answer[results.Completion]:
    """What may stand at `cursor_pos`: `text` of a match replaces code[cursor_start:cursor_end]."""
    check_code(context.services.settings, params.code)
    request = hop.Complete(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        code=params.code,
        cursor_pos=params.cursor_pos,
    )
    return await context.ask(request, _extra_s(context))


@method(
    "is_complete", params=IsCompleteParams, result=kernel_results.CodeStatus, scope="evaluate", raises=_KERNEL_ERRORS
)
async def is_complete(context: Context, params: IsCompleteParams) -> hop.Answer[kernel_results.CodeStatus]:
    """Whether `code` can be run as it is, or a prompt should ask for a further line."""
    check_code(context.services.settings, params.code)
    request = hop.IsComplete(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        code=params.code,
    )
    return await context.ask(request, _extra_s(context))


@method("inspect", params=InspectParams, result=results.Inspection, scope="evaluate", raises=_KERNEL_ERRORS)
async def inspect(context: Context, params: InspectParams) -> hop.Answer[results.Inspection]:
    """What is known of the object at `cursor_pos`: text, docstring, signature and, at `detail_level` 1, source.

    A leading or trailing `?` or `??` in `code` sets the level.
    """
    check_code(context.services.settings, params.code)
    request = hop.Inspect(
        caller=context.caller,
        request_id=context.request_id,
        session=context.session(params.session),
        code=params.code,
        cursor_pos=params.cursor_pos,
        detail_level=params.detail_level,
    )
    return await context.ask(request, _extra_s(context))


def _extra_s(context: Context) -> float:
    # The host's deadline counts from the kernel's readiness, and the kernel may have to start first.
    settings = context.services.settings
    return settings.kernel_start_s + settings.introspection_s
