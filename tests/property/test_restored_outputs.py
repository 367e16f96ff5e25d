"""A fold that was recorded and restored is the one that it was."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kernel_bridge.events import NewEvent, from_service
from kernel_bridge.outputs import OutputFold

_TEXT = st.text(max_size=400)
_IDS = st.sampled_from(["a", "b", "c"])


def _event(type: str, **content: Any) -> NewEvent:
    return from_service(type, content, "c1")


def _display(text: str, display_id: str | None) -> NewEvent:
    transient = {"display_id": display_id} if display_id is not None else {}
    return _event("display_data", data={"text/plain": text}, metadata={}, transient=transient)


def _result(text: str) -> NewEvent:
    return _event("execute_result", data={"text/plain": text}, metadata={}, execution_count=3)


def _update(text: str, display_id: str) -> NewEvent:
    return _event("update_display_data", data={"text/plain": text}, transient={"display_id": display_id})


def _stream(name: str, text: str) -> NewEvent:
    return _event("stream", name=name, text=text)


def _error(text: str) -> NewEvent:
    return _event("error", ename="E", evalue=text, traceback=[text])


def _clear(wait: bool) -> NewEvent:
    return _event("clear_output", wait=wait)


EVENTS = st.one_of(
    st.builds(_stream, st.sampled_from(["stdout", "stderr"]), _TEXT),
    st.builds(_display, _TEXT, st.none() | _IDS),
    st.builds(_result, _TEXT),
    st.builds(_error, _TEXT),
    st.builds(_update, _TEXT, _IDS),
    st.builds(_clear, st.booleans()),
)


def restored(fold: OutputFold, max_bytes: int) -> OutputFold:
    return OutputFold.restored(fold.outputs(), fold.displays(), fold.truncated, max_bytes)


@given(st.lists(EVENTS, max_size=40), st.sampled_from([1024, 2048, 1 << 20]))
def test_it_shows_the_same(events: list[NewEvent], max_bytes: int) -> None:
    fold = OutputFold(max_bytes)
    for event in events:
        fold.add(event)
    again = restored(fold, max_bytes)
    assert again.outputs() == fold.outputs()
    assert again.text() == fold.text()
    assert again.truncated == fold.truncated
    assert again.displays() == fold.displays()
    assert set(fold.displays()) == fold.display_ids
    for display_id, places in fold.displays().items():
        assert places, display_id
        assert {fold.outputs()[place]["output_type"] for place in places} == {"display_data"}


@given(st.lists(EVENTS, max_size=40), _IDS, _TEXT, st.sampled_from([1024, 1 << 20]))
def test_an_update_reaches_each_display_and_stays_within_the_bound(
    events: list[NewEvent], display_id: str, text: str, max_bytes: int
) -> None:
    fold = OutputFold(max_bytes)
    for event in events:
        fold.add(event)
    before, places = fold.outputs(), fold.displays().get(display_id, [])
    again = restored(fold, max_bytes)
    assert again.update_display(display_id, {"text/plain": text}, {}) is bool(places)
    after = again.outputs()
    if again.truncated == fold.truncated:
        for place, output in enumerate(after):
            expected = {**before[place], "data": {"text/plain": text}, "metadata": {}}
            assert output == (expected if place in places else before[place])
    assert len(msgspec.json.encode(after)) <= max(len(msgspec.json.encode(before)), 12 * max_bytes)
