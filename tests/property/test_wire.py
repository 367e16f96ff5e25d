"""The decoder never fails in another way than it says, and reads back whatever the encoder writes."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kernel_bridge.errors import WireError
from kernel_bridge.wire import DELIMITER, Codec

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@given(frames=st.lists(st.binary(max_size=60) | st.just(DELIMITER), max_size=9), key=st.sampled_from([b"", b"key"]))
def test_any_frames(frames: list[bytes], key: bytes) -> None:
    try:
        Codec(key, "mine").decode(frames)
    except WireError:
        return


@given(
    msg_type=texts,
    content=st.dictionaries(texts, values, max_size=4),
    msg_id=st.none() | texts,
    subshell=st.none() | texts,
    key=st.binary(max_size=40),
    prefix=st.lists(st.binary(max_size=9).filter(lambda frame: frame != DELIMITER), max_size=3),
    buffers=st.lists(st.binary(max_size=99), max_size=3),
)
def test_round_trip(
    msg_type: str,
    content: dict[str, object],
    msg_id: str | None,
    subshell: str | None,
    key: bytes,
    prefix: list[bytes],
    buffers: list[bytes],
) -> None:
    codec = Codec(key, "mine")
    made_id, frames = codec.encode(msg_type, content, msg_id=msg_id, subshell_id=subshell)
    message = codec.decode([*prefix, *frames, *buffers])
    assert message.msg_type == msg_type
    assert message.msg_id == made_id
    assert msgspec.json.decode(message.content) == content
    assert message.buffers == tuple(buffers)
    assert message.parent_id == ""
