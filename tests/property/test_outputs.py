from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kernel_bridge.events import NewEvent, from_kernel
from kernel_bridge.output_store import OVERHEAD_BYTES
from kernel_bridge.outputs import OutputFold

names = st.sampled_from(["stdout", "stderr"])
texts = st.text(st.sampled_from("ab\n\ré😀"), max_size=1500)
streams = st.tuples(st.just("stream"), st.fixed_dictionaries({"name": names, "text": texts}))
ids = st.sampled_from(["x", "y"])
rich = st.fixed_dictionaries(
    {
        "data": st.fixed_dictionaries({"text/plain": texts}),
        "metadata": st.dictionaries(st.just("k"), st.integers(), max_size=1),
        "transient": st.dictionaries(st.just("display_id"), ids, max_size=1),
    }
)
displays = st.tuples(st.sampled_from(["display_data", "execute_result", "update_display_data"]), rich)
others = st.sampled_from(
    [
        ("clear_output", {"wait": True}),
        ("clear_output", {"wait": False}),
        ("error", {"ename": "E", "evalue": "v", "traceback": ["line"] * 100}),
        ("status", {"execution_state": "busy"}),
    ]
)
messages = st.lists(streams | displays | streams | others, max_size=40)


def event(type: str, fields: dict[str, Any]) -> NewEvent:
    return from_kernel(type, msgspec.json.encode(fields), "c")[0]


def size(output: dict[str, Any]) -> int:
    return len(output["text"].encode()) if output["output_type"] == "stream" else len(msgspec.json.encode(output))


@given(messages, st.integers(1024, 8192))
def test_a_fold_never_exceeds_its_bound(sent: list[tuple[str, dict[str, Any]]], max_bytes: int) -> None:
    fold = OutputFold(max_bytes)
    for type, fields in sent:
        fold.add(event(type, fields))
        outputs = fold.outputs()
        assert sum(map(size, outputs)) <= max_bytes
        assert len(fold.text().encode()) <= max_bytes + 100
        missing = fold.truncated
        assert missing is None or (missing.events > 0 and missing.bytes > 0)
        shown = {output["output_type"] for output in outputs}
        assert shown <= {"stream", "display_data", "execute_result", "error"}


@given(st.lists(st.tuples(names, texts), max_size=30))
def test_streams_under_the_bound_are_their_concatenation(sent: list[tuple[str, str]]) -> None:
    cost = sum(len(text.encode()) + 3 * OVERHEAD_BYTES for _, text in sent) + 1024
    fold = OutputFold(2 * cost)
    runs: list[tuple[str, str]] = []
    for name, text in sent:
        fold.add(event("stream", {"name": name, "text": text}))
        if text and runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + text)
        elif text:
            runs.append((name, text))
    assert [(output["name"], output["text"]) for output in fold.outputs()] == runs
    assert fold.truncated is None


@given(st.lists(texts.filter(bool), min_size=1, max_size=60), st.integers(1024, 4096))
def test_what_is_kept_and_what_is_missing_add_up(sent: list[str], max_bytes: int) -> None:
    fold = OutputFold(max_bytes)
    for text in sent:
        fold.add(event("stream", {"name": "stdout", "text": text}))
    everything = "".join(sent)
    outputs = fold.outputs()
    kept = [output["text"] for output in outputs]
    missing = fold.truncated
    if missing is None:
        assert "".join(kept) == everything
        return
    assert sum(len(text.encode()) for text in kept) + missing.bytes == len(everything.encode())
    assert 0 < missing.events <= len(sent)
    head, tail = kept
    assert everything.startswith(head)
    assert everything.endswith(tail)
