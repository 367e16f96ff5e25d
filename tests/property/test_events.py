import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kernel_bridge.ansi import overwrite, strip
from kernel_bridge.events import from_kernel
from kernel_bridge.utf8 import pieces, utf8_size

any_text = st.text(st.characters())  # lone surrogates too
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(any_text, inner), max_leaves=10)
objects = st.dictionaries(any_text, values)


def check_sound(content: bytes, fields: dict[str, Any]) -> None:
    assert b"\n" not in content
    content.decode()
    assert msgspec.json.decode(content) == fields
    assert isinstance(json.loads(content, parse_constant=float.fromhex), dict)


@given(st.binary())
def test_any_bytes_become_sound_events(content: bytes) -> None:
    for event in from_kernel("stream", content, "c"):
        check_sound(event.content, event.fields)


@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_any_object_becomes_one_sound_event(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    (event,) = from_kernel("display_data", written.encode(errors="surrogatepass"), "c")
    check_sound(event.content, event.fields)
    if not event.repaired and event.type == "display_data":
        assert event.fields == json.loads(written)


@given(st.binary(max_size=40), st.sampled_from([b'{"text":"%b"}', b'{"a":[%b]}', b"{%b}", b'{"%b":"x\xc3\xa9"}']))
def test_any_bytes_within_an_object(rubbish: bytes, frame: bytes) -> None:
    (event,) = from_kernel("display_data", frame % rubbish, None)
    check_sound(event.content, event.fields)


@given(st.text(), st.integers(4, 20))
def test_pieces_joined_are_the_text(text: str, max_bytes: int) -> None:
    parts = list(pieces(text, max_bytes))
    assert "".join(parts) == text
    assert all(0 < utf8_size(part) <= max_bytes for part in parts)
    assert not any(left.endswith("\r") and right.startswith("\n") for left, right in pairwise(parts))


terminal_text = st.text(st.sampled_from("\x1b\x1b\x9b\x9d\x90\x9c\x07[]P(;0m31\\K \n\r\bab é😀"), max_size=60)


@given(terminal_text)
def test_strip_is_idempotent_and_leaves_no_control(text: str) -> None:
    plain = strip(text)
    assert strip(plain) == plain
    assert not set(plain) & set("\x1b\x9b\x9d\x90\x9c\x07\x00")
    assert strip(text + "\n") in (plain + "\n", plain), "only an escape sequence that was cut off may take the newline"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_text_without_controls_is_left_alone(text: str) -> None:
    assert strip(text) == text
    assert overwrite(text) == text


@given(st.text(st.sampled_from("\r\bab\n"), max_size=40))
def test_overwrite_equals_a_terminal_cell_by_cell(text: str) -> None:
    lines: list[dict[int, str]] = [{}]
    column = 0
    for character in text.replace("\r\n", "\n"):
        if character == "\n":
            lines.append({})
            column = 0
        elif character == "\r":
            column = 0
        elif character == "\b":
            column = max(0, column - 1)
        else:
            lines[-1][column] = character
            column += 1
    assert overwrite(text) == "\n".join("".join(line[at] for at in sorted(line)) for line in lines)
