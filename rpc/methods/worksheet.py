"""Methods that read the cells of a session."""

from kernel_bridge import hop, results, worksheet_results
from kernel_bridge.errors import LimitExceeded
from rpc.context import Context
from rpc.registry import method
from rpc.worksheet_messages import ExportNotebookParams, GetCellParams, HistoryParams, ListCellsParams


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


@method("list_cells", params=ListCellsParams, result=worksheet_results.CellList, scope="read")
async def list_cells(context: Context, params: ListCellsParams) -> hop.Answer[worksheet_results.CellList]:
    """The worksheet: the cells of a session in the order in which they were queued, page by page."""
    return await context.ask(
        hop.ListCells(
            caller=context.caller,
            request_id=context.request_id,
            session=context.session(params.session),
            outputs=params.outputs,
            limit=params.limit,
            after=params.after,
            max_bytes=params.max_bytes,
        )
    )


@method("history", params=HistoryParams, result=worksheet_results.History, scope="read")
async def history(context: Context, params: HistoryParams) -> hop.Answer[worksheet_results.History]:
    """The inputs of a session that were run, in order, page by page.

    Cells that were silent, or not to be stored in the history, are left out, and those that never began to run.
    """
    return await context.ask(
        hop.History(
            caller=context.caller,
            request_id=context.request_id,
            session=context.session(params.session),
            limit=params.limit,
            after=params.after,
            results=params.results,
            max_bytes=params.max_bytes,
        )
    )


@method(
    "export_notebook",
    params=ExportNotebookParams,
    result=worksheet_results.Notebook,
    scope="read",
    raises=(LimitExceeded,),
)
async def export_notebook(context: Context, params: ExportNotebookParams) -> hop.Answer[worksheet_results.Notebook]:
    """The worksheet as a notebook-format-4.5 document: the result, written to a file, is an .ipynb.

    Cells that were silent are left out. Raises LimitExceeded (export_bytes).
    """
    return await context.ask(
        hop.ExportNotebook(
            caller=context.caller,
            request_id=context.request_id,
            session=context.session(params.session),
            outputs=params.outputs,
        ),
        context.services.settings.export_s,
    )
