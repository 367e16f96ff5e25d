"""KEY=VALUE words as params."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kernelwire.call_params import members, parse
from kernelwire.errors import Failed, WrongUsage

TEXTS = {"code", "session"}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("code=6 * 7", "6 * 7"),
        ("code=42", "42"),
        ('code="a"', '"a"'),
        ("code=null", "null"),
        ("code=", ""),
        ("code=a=b", "a=b"),
        ("code=:=", ":="),
        ("code=two\nlines", "two\nlines"),
        ("code:=42", 42),
        ("session:=null", None),
        ("wait=42", 42),
        ("wait=0.5", 0.5),
        ("start=true", True),
        ('metadata={"a": [1]}', {"a": [1]}),
        ("metadata:={}", {}),
        ("kind=plain text", "plain text"),
        ("kind=NaN", "NaN"),
        ("kind=1e999", "1e999"),
        ("kind=" + "[" * 100_000, "[" * 100_000),
    ],
)
def test_values(word: str, value: Any) -> None:
    assert list(parse([word], TEXTS).values()) == [value]


def test_several() -> None:
    assert parse(["code=1", "wait=2"], TEXTS) == {"code": "1", "wait": 2}
    assert parse([], TEXTS) == {}


@pytest.mark.parametrize("word", ["", "code", "=1", "1=2", "a-b=1", "--json", ":=1", "wait:=", "wait:=x", "wait:=NaN"])
def test_what_is_none(word: str) -> None:
    with pytest.raises(WrongUsage, match="expected"):
        parse([word], TEXTS)


def test_twice() -> None:
    with pytest.raises(WrongUsage, match="code: expected once"):
        parse(["code=1", "code:=2"], TEXTS)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(WrongUsage, match="UTF-8"):
        parse(["code=\udcff"], TEXTS)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, data, raw = tmp_path / "a.py", tmp_path / "a.json", tmp_path / "a.bin"
    code.write_text("print('ä')\n")
    data.write_text('{"a": 1}')
    raw.write_bytes(b"\xff")
    assert parse([f"code=@{code}", f"metadata:=@{data}"], TEXTS) == {"code": "print('ä')\n", "metadata": {"a": 1}}
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"1 + 1")))
    assert parse(["code=@-"], TEXTS) == {"code": "1 + 1"}
    with pytest.raises(Failed, match="UTF-8"):
        parse([f"code=@{raw}"], TEXTS)
    with pytest.raises(WrongUsage, match="expected JSON"):
        parse([f"metadata:=@{code}"], TEXTS)
    for name in (tmp_path / "none", tmp_path, ""):
        with pytest.raises(Failed, match="code:="):
            parse([f"code=@{name}"], TEXTS)


def test_members_of_methods() -> None:
    evaluate = members("evaluate")
    assert (evaluate["code"], evaluate["session"], evaluate["cell"]) == (True, True, True)
    assert (evaluate["wait"], evaluate["silent"], evaluate["metadata"]) == (False, False, False)
    assert members("no_such_method") == {}
