import time
import tracemalloc
from typing import Any

import msgspec
import nbformat
import pytest

from kernel_bridge.events import NewEvent, from_kernel
from kernel_bridge.outputs import OutputFold
from kernel_bridge.results import Truncated


def event(type: str, **fields: Any) -> NewEvent:
    return from_kernel(type, msgspec.json.encode(fields), "c1")[0]


def stream(text: str, name: str = "stdout") -> NewEvent:
    return event("stream", name=name, text=text)


def display(plain: str, display_id: str | None = None, type: str = "display_data") -> NewEvent:
    transient = {"display_id": display_id} if display_id else {}
    return event(type, data={"text/plain": plain}, metadata={}, transient=transient)


def fold(*events: NewEvent, max_bytes: int = 1 << 20) -> OutputFold:
    folded = OutputFold(max_bytes)
    for each in events:
        folded.add(each)
    return folded


def validate(folded: OutputFold) -> list[dict[str, Any]]:
    outputs = folded.outputs()
    cell: dict[str, Any] = {
        "id": "c",
        "cell_type": "code",
        "source": "",
        "metadata": {},
        "execution_count": None,
        "outputs": outputs,
    }
    notebook = nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})  # pyright: ignore[reportUnknownMemberType]
    nbformat.validate(notebook)  # pyright: ignore[reportUnknownMemberType]
    return outputs


def plain(folded: OutputFold) -> list[str]:
    return [output["data"]["text/plain"] if "data" in output else output["text"] for output in validate(folded)]


def test_nothing() -> None:
    folded = fold(event("status", execution_state="busy"), event("clear_output", wait=True), stream(""))
    assert (validate(folded), folded.text(), folded.truncated, folded.execution_count) == ([], "", None, None)


def test_consecutive_streams_of_one_name_are_joined() -> None:
    folded = fold(
        stream("a"), event("status", execution_state="busy"), stream("b\r"), stream("x", "stderr"), stream("c\x1b[0m")
    )
    assert validate(folded) == [
        {"output_type": "stream", "name": "stdout", "text": "ab\r"},
        {"output_type": "stream", "name": "stderr", "text": "x"},
        {"output_type": "stream", "name": "stdout", "text": "c\x1b[0m"},
    ]
    assert folded.text() == "xc"


def test_results_displays_errors_and_count() -> None:
    folded = fold(
        event("execute_input", code="1", execution_count=3),
        stream("no newline"),
        event("execute_result", data={"text/plain": "1"}, metadata={"m": 1}, execution_count=3, transient={}),
        stream("print\n"),
        event("error", ename="E", evalue="v", traceback=["\x1b[31mline 1\x1b[0m", "E: v"]),
    )
    assert folded.execution_count == 3
    assert validate(folded)[1:] == [
        {"output_type": "execute_result", "execution_count": 3, "data": {"text/plain": "1"}, "metadata": {"m": 1}},
        {"output_type": "stream", "name": "stdout", "text": "print\n"},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mline 1\x1b[0m", "E: v"]},
    ]
    assert folded.text() == "no newline\n1\nprint\nline 1\nE: v"


def test_text_is_what_a_terminal_shows() -> None:
    folded = fold(stream("10%\r"), stream("100%\nab\b"), stream("\x1b[1mc\x1b[0m\n"), display("\x1b[32mgreen\x1b[0m"))
    assert folded.text() == "100%\nac\ngreen"
    assert fold(event("error", ename="E", evalue="v", traceback=[])).text() == "E: v"


def test_clear_output() -> None:
    assert plain(fold(stream("a"), event("clear_output", wait=False), stream("b"))) == ["b"]
    waiting = fold(stream("a"), event("clear_output", wait=True))
    assert plain(waiting) == ["a"], "only the next output clears"
    waiting.add(event("status", execution_state="idle"))
    waiting.add(display("b", type="update_display_data", display_id="none"))
    assert plain(waiting) == ["a"]
    waiting.add(display("b"))
    waiting.add(stream("c"))
    assert plain(waiting) == ["b", "c"]


def test_clearing_forgets_what_was_dropped() -> None:
    folded = fold(*[stream("x" * 1000) for _ in range(10)], max_bytes=2048)
    assert folded.truncated is not None
    folded.add(event("clear_output", wait=False))
    assert (folded.truncated, folded.outputs(), folded.text()) == (None, [], "")


def test_displays_are_updated() -> None:
    folded = fold(display("1", "d"), stream("s"), display("2", "d"), display("3", "e"))
    assert folded.display_ids == {"d", "e"}
    folded.add(
        event("update_display_data", data={"text/plain": "new"}, metadata={"k": 2}, transient={"display_id": "d"})
    )
    assert plain(folded) == ["new", "s", "new", "3"]
    assert folded.outputs()[0] == {"output_type": "display_data", "data": {"text/plain": "new"}, "metadata": {"k": 2}}
    assert folded.update_display("e", {"text/plain": "from elsewhere"}, {})
    assert not folded.update_display("f", {"text/plain": "?"}, {})
    assert plain(folded) == ["new", "s", "new", "from elsewhere"]
    folded.add(event("clear_output", wait=False))
    assert not folded.update_display("e", {}, {})


def test_updates_reach_displays_that_came_before_and_after_others() -> None:
    folded = fold(*[display(str(number), "d") for number in range(40)], max_bytes=4096)
    assert folded.truncated is not None
    held = len(plain(folded))
    folded.update_display("d", {"text/plain": "first"}, {})
    folded.add(display("late", "d"))
    assert plain(folded).count("first") in (held - 1, held)
    assert folded.update_display("d", {"text/plain": "second"}, {})
    assert set(plain(folded)) == {"second"}
    folded.update_display("d", {"text/plain": "z" * 200}, {})
    assert sum(len(msgspec.json.encode(output)) for output in folded.outputs()) <= 4096


def test_displays_of_the_tail_that_grow_make_room_there() -> None:
    folded = fold(*[display("x" * 300) for _ in range(8)], display("1", "d"), stream("end"), max_bytes=4096)
    assert folded.truncated is None or folded.truncated.events < 8
    for size in (1000, 1500):
        assert folded.update_display("d", {"text/plain": "y" * size}, {})
        assert plain(folded)[-2:] == ["y" * size, "end"]
        assert sum(len(msgspec.json.encode(output)) for output in folded.outputs()) <= 4096


def test_outputs_are_the_callers_own() -> None:
    folded = fold(display("1"))
    folded.outputs()[0]["data"].clear()
    assert plain(folded) == ["1"]


def test_a_page_is_a_marked_display() -> None:
    folded = fold(stream("a"))
    folded.add_page({"text/plain": "\x1b[31mSignature\x1b[0m"})
    assert validate(folded)[1] == {
        "output_type": "display_data",
        "data": {"text/plain": "\x1b[31mSignature\x1b[0m"},
        "metadata": {"kernelwire": {"page": True}},
    }
    assert folded.text() == "a\nSignature"


@pytest.mark.parametrize(
    "hostile",
    [
        event("stream", name=3, text="x"),
        event("stream", text=["x"]),
        event("display_data"),
        event("display_data", data=[1], metadata="m", transient={"display_id": 4}),
        event("display_data", data={"text/plain": 5, "application/json": 5, "text/html": ["a", "b"], "a/b": [1, None]}),
        event("execute_result", data={"text/plain": ["1", "2"]}, execution_count="x", transient=None),
        event("execute_result", data={}, execution_count=-1),
        event("execute_result", data={}, execution_count=True),
        event("error", ename=1, evalue=None, traceback="no list"),
        event("error", traceback=[1, "line"]),
        event("update_display_data", data=3),
        event("clear_output", wait="yes"),
        event("execute_input", execution_count={}),
    ],
)
def test_whatever_user_code_sends_the_outputs_are_valid(hostile: NewEvent) -> None:
    folded = fold(hostile, hostile)
    validate(folded)
    folded.text()


def test_head_and_tail_of_a_long_stream_are_kept() -> None:
    lines = [f"line {number:06d}\n" for number in range(20_000)]
    folded = fold(*map(stream, lines), max_bytes=100_000)
    head, tail = (output["text"] for output in validate(folded))
    everything = "".join(lines)
    assert everything.startswith(head)
    assert everything.endswith(tail)
    assert 45_000 < len(head) <= 50_000
    assert 43_000 < len(tail) <= 100_000 - len(head)
    missing = len(everything) - len(head) - len(tail)
    assert folded.truncated == Truncated(missing, missing // len(lines[0]), at=1)
    assert folded.text() == f"{head}... {missing} bytes omitted ...\n{tail}"


def test_one_huge_stream_event_is_cut() -> None:
    text = "é😀" * 10_000
    folded = fold(stream(text), max_bytes=4096)
    head, tail = plain(folded)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert folded.truncated == Truncated(len(text.encode()) - len((head + tail).encode()), 1, at=1)


def test_whole_outputs_in_the_middle_are_dropped() -> None:
    folded = fold(*[display(f"{number:0100d}") for number in range(100)], max_bytes=4096)
    numbers = [int(text) for text in plain(folded)]
    assert numbers[0] == 0
    assert numbers[-1] == 99
    assert folded.truncated is not None
    assert folded.truncated.events == 100 - len(numbers)
    size = len(msgspec.json.encode(folded.outputs()[0]))
    assert folded.truncated.bytes == size * folded.truncated.events


def test_an_output_larger_than_all_costs_no_other() -> None:
    folded = fold(stream("a"), display("x" * 5000), stream("b"), max_bytes=4096)
    assert plain(folded) == ["a", "b"]
    assert folded.truncated is not None
    assert folded.truncated.events == 1
    assert folded.text().startswith("a\n... 5")
    most = fold(stream("a"), display("x" * 3000), max_bytes=4096)
    assert plain(most) == ["a", "x" * 3000], "what fits into the whole is kept"


def test_a_display_that_grows_beyond_all_bounds_is_dropped() -> None:
    folded = fold(display("1", "d"), stream("kept"), max_bytes=4096)
    assert folded.update_display("d", {"text/plain": "x" * 5000}, {})
    assert plain(folded) == ["kept"]
    assert folded.truncated is not None
    assert folded.display_ids == set()
    assert len(msgspec.json.encode(folded.outputs())) < 4096


def test_a_huge_error_keeps_its_name_and_its_end() -> None:
    frames = [f"frame {number} " + "x" * 100 for number in range(1000)]
    folded = fold(event("error", ename="ValueError", evalue="y" * 10**6, traceback=frames), max_bytes=8192)
    (output,) = validate(folded)
    assert output["ename"] == "ValueError"
    assert output["traceback"][-1] == frames[-1]
    assert output["evalue"].startswith("y")
    assert len(msgspec.json.encode(output)) <= 8192
    wide = fold(event("error", ename="E", evalue="😀" * 10**5, traceback=["😀" * 10**5]), max_bytes=8192)
    assert validate(wide)[0]["traceback"][0].startswith("😀")


def test_what_is_cut_off_an_error_is_counted() -> None:
    error = {"ename": "E", "evalue": "v", "traceback": ["x" * 100 for _ in range(100)]}
    whole = len(msgspec.json.encode({"output_type": "error", **error}))
    folded = fold(stream("before\n"), event("error", **error), stream("after"), max_bytes=8192)
    before, output, after = validate(folded)
    assert (before["text"], after["text"]) == ("before\n", "after")
    cut = whole - len(msgspec.json.encode(output))
    assert folded.truncated == Truncated(cut, 1, at=1)
    assert folded.text().startswith(f"before\n... {cut} bytes omitted ...\nxxx")
    small = fold(event("error", ename="E", evalue="v", traceback=["x" * 100]))
    assert small.truncated is None


def test_an_error_that_does_not_fit_is_one_missing_event() -> None:
    controls = ["\x01" * 1000 for _ in range(10)]  # each six bytes in JSON
    sent = [stream("a" * 1900), event("error", ename="\x01" * 1000, evalue="\x01" * 1000, traceback=controls)]
    folded = fold(*sent, max_bytes=4096)
    assert {output["output_type"] for output in folded.outputs()} == {"stream"}
    assert folded.truncated is not None
    whole = len(msgspec.json.encode({"output_type": "error", **sent[1].fields}))
    assert (folded.truncated.bytes, folded.truncated.events) == (whole, 1)


def test_dropped_events_are_counted_when_the_log_is_folded_again() -> None:
    folded = fold(stream("a"), event("dropped", count=3, bytes=300, reason="disk_full"), stream("b"))
    assert folded.truncated == Truncated(300, 3, at=1)
    assert folded.text() == "a\n... 300 bytes omitted ...\nb"


def test_an_omitted_event_is_counted() -> None:
    folded = fold(stream("a"), event("omitted", bytes=17, mime="image/png"), stream("b"))
    assert folded.truncated == Truncated(17, 1, at=1)
    assert folded.text() == "a\n... 17 bytes omitted ...\nb"


@pytest.mark.parametrize(
    "flood",
    [
        [stream("x\n")],
        [stream("x"), stream("y", "stderr")],
        [event("display_data", data={}, metadata={})],
        [display("x", "same")],
        [display("x", "same"), display("y", "same", "update_display_data")],
        [event("error", ename="E", evalue="", traceback=[])],
        [stream("a"), event("clear_output", wait=True)],
    ],
)
def test_a_flood_takes_bounded_memory_and_time(flood: list[NewEvent]) -> None:
    max_bytes = 64 << 10
    tracemalloc.start()
    try:
        folded = OutputFold(max_bytes)
        begin = time.process_time()
        for _ in range(20_000 // len(flood)):
            for each in flood:
                folded.add(each)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used < 12 * max_bytes
    assert time.process_time() - begin < 20
    assert len(msgspec.json.encode(folded.outputs())) < 2 * max_bytes


def test_too_small_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="1024"):
        OutputFold(100)
