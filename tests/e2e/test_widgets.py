"""A widget moved through the API: made by one front end, moved by another, seen by the code."""

from typing import Any

from tests.e2e.client import Client

SLIDER = """
import ipywidgets
slider = ipywidgets.IntSlider(value=3, max=50)
slider.observe(lambda change: print('moved to', change['new']), 'value')
slider
"""


async def test_a_slider_that_a_cell_made_is_moved_by_another_front_end(client: Client, anybody: Client) -> None:
    other = await anybody.log_in(session=client.session)
    made = await client.evaluate(SLIDER)
    view: dict[str, Any] = made.outputs[-1]["data"]["application/vnd.jupyter.widget-view+json"]
    opened = await other.until("comm_open", comm_id=view["model_id"])
    assert (opened.cell, opened.content["target_name"]) == (made.cell, "jupyter.widget")

    sent = await other.call(
        "comm_msg", comm_id=view["model_id"], data={"method": "update", "state": {"value": 42}, "buffer_paths": []}
    )

    assert sent == {"comm_id": view["model_id"]}
    printed = await client.until("stream", cursor=made.cursor)
    assert (printed.cell, printed.content) == (None, {"name": "stdout", "text": "moved to 42\n"})
    assert (await client.evaluate("slider.value")).text == "42"
    await client.fails(-32602, "comm_msg", comm_id=view["model_id"], buffers=["not base64"])
    await client.call("comm_close", comm_id=view["model_id"])


async def test_restarting_and_reading_the_worksheet(client: Client) -> None:
    running = await client.evaluate("import time; time.sleep(60)", wait=0, cell="runs")
    await client.until("execute_input", cursor=running.cursor)
    done = await client.call("restart")
    assert (done["cell"], done["aborted"]) == ("runs", 0)
    assert (await client.cell("runs")).end == "restarted"
    assert (await client.evaluate("6 * 7", cell="answer")).text == "42"

    page = await client.call("list_cells", limit=1)
    assert ([cell["cell"] for cell in page["cells"]], page["after"]) == (["runs"], "runs")
    assert [entry["result"] for entry in (await client.call("history", results=True, after="runs"))["entries"]] == [
        {"text/plain": "42"}
    ]
    notebook = await client.call("export_notebook")
    assert [cell["id"] for cell in notebook["cells"]] == ["runs", "answer"]
    info = await client.call("session_info")
    assert (info["language"], info["lossless"], info["cells"]) == ("python", True, 2)
    assert (await client.call("is_complete", code="def f():"))["status"] == "incomplete"
    assert (await client.call("kernel_info"))["implementation"] == "ipython"
