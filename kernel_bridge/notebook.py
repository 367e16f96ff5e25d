"""A session's worksheet as a document of notebook format 4.5.

Source: nbformat documentation, "The Notebook file format"; nbformat's schema nbformat.v4.5.schema.json.
"""

import asyncio
from typing import Any

import msgspec
from msgspec import Raw, Struct

from kernel_bridge.errors import LimitExceeded, SessionNotFound
from kernel_bridge.journal import Journal
from kernel_bridge.kernel_command import Spec
from kernel_bridge.kernel_results import KernelInfo
from kernel_bridge.results import Cell
from kernel_bridge.worksheet import Worksheet
from kernel_bridge.worksheet_results import NotebookCell

_TEXTS = ("version", "file_extension", "mimetype", "pygments_lexer", "nbconvert_exporter")


class Document(Struct, frozen=True):
    """worksheet_results.Notebook, its cells encoded."""

    cells: list[Raw]
    metadata: dict[str, Any]
    nbformat: int = 4
    nbformat_minor: int = 5


async def export(
    session: str,
    journal: Journal,
    worksheet: Worksheet,
    metadata: dict[str, Any],
    *,
    outputs: bool,
    max_bytes: int,
) -> Document:
    """Every cell of the worksheet but silent ones, those that wait or run as they are now.

    Others have their turn between two cells. Raises LimitExceeded (export_bytes) beyond `max_bytes`,
    SessionNotFound when it is deleted meanwhile.
    """
    cells: list[Raw] = []
    used = 0
    for cell_id in worksheet.ids():
        if journal.closed:
            raise SessionNotFound(session)
        whole = worksheet.json(cell_id)
        cell = msgspec.json.decode(whole, type=Cell) if whole is not None else None
        if cell is not None and not cell.silent:
            made = msgspec.json.encode(notebook_cell(cell, outputs=outputs))
            used += len(made)
            if used > max_bytes:
                words = f"the notebook has more than {max_bytes} bytes: read it in pages with list_cells"
                raise LimitExceeded("export_bytes", max_bytes, words)
            cells.append(Raw(made))
        await asyncio.sleep(0)
    return Document(cells, metadata)


def notebook_cell(cell: Cell, *, outputs: bool) -> NotebookCell:
    """A code cell. What the format has no place for is in its metadata, under `kernelwire`."""
    about: dict[str, Any] = {"user": cell.user, "end": cell.end, "metadata": cell.metadata}
    if cell.outputs_truncated is not None and outputs:
        about["outputs_truncated"] = msgspec.to_builtins(cell.outputs_truncated)
    metadata: dict[str, Any] = {"kernelwire": about}
    times = {"iopub.execute_input": cell.started_at, "shell.execute_reply": cell.finished_at}
    if cell.started_at is not None:
        metadata["execution"] = {name: time for name, time in times.items() if time is not None}
    return NotebookCell(
        id=cell.cell,  # the format's pattern for ids is our own
        source=cell.code,
        execution_count=cell.execution_count if outputs else None,
        outputs=cell.outputs if outputs else [],
        metadata=metadata,
    )


def notebook_metadata(kernelspec: str, spec: Spec | None, info: KernelInfo | None) -> dict[str, Any]:
    """`kernelspec` and, as far as it is known, `language_info`. `spec` None: it is installed no more; `info` None: no
    kernel of the session has run under this host."""
    language = spec.language if spec is not None else ""
    display_name = spec.display_name if spec is not None else kernelspec
    found: dict[str, Any] = {"kernelspec": {"name": kernelspec, "display_name": display_name}}
    if language:
        found["kernelspec"]["language"] = language
    about = _language_info(info.language_info if info is not None else {}, language)
    if about["name"]:
        found["language_info"] = about
    return found


def _language_info(given: dict[str, Any], language: str) -> dict[str, Any]:
    """What the kernel says, as far as the format allows it."""
    name = given.get("name")
    found: dict[str, Any] = {"name": name if isinstance(name, str) and name else language}
    found |= {member: given[member] for member in _TEXTS if isinstance(given.get(member), str)}
    if isinstance(given.get("codemirror_mode"), str | dict):
        found["codemirror_mode"] = given["codemirror_mode"]
    return found
