"""Methods that read the cells of a session."""

from kernel_bridge import hop, results
from rpc.context import Context
from rpc.messages import GetCellParams
from rpc.registry import method


@method("get_cell", params=GetCellParams, result=results.Cell, scope="read")
async def get_cell(context: Context, params: GetCellParams) -> hop.Answer[results.Cell]:
    """One cell as it is now, queued, running or done."""
    return await context.ask(
        hop.GetCell(
            caller=context.caller,
            request_id=context.request_id,
            session=context.session(params.session),
            cell=params.cell,
        )
    )
