"""From params to structs: what is taken, and in which words the rest is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from rpc.errors import InvalidParams
from rpc.messages import EvaluateParams, InspectParams, LoginParams, Nothing, PollOutputParams
from rpc.params import ParamsReader


def read(params: type[Struct], given: object) -> Any:
    raw = given if isinstance(given, str) else json.dumps(given)
    return ParamsReader(params).read(Raw(raw.encode()))[0]


def test_by_name_by_position_and_absent() -> None:
    assert read(EvaluateParams, {"code": "1", "wait": 2}) == EvaluateParams("1", wait=2.0)
    assert read(EvaluateParams, ["1", "s", 2.5]) == EvaluateParams("1", "s", 2.5)
    assert ParamsReader(PollOutputParams).read(None) == (PollOutputParams(), None)
    assert read(Nothing, []) == read(Nothing, {}) == Nothing()


def test_the_token_is_taken_out_of_by_name_params_only() -> None:
    assert ParamsReader(Nothing).read(Raw(b'{"token": "t"}')) == (Nothing(), "t")
    with pytest.raises(InvalidParams, match="`token`: expected a string, got the number 1"):
        ParamsReader(Nothing).read(Raw(b'{"token": 1}'))
    with pytest.raises(InvalidParams, match="`params`: expected at most 0 by position, got more"):
        ParamsReader(Nothing).read(Raw(b'["t"]'))


@pytest.mark.parametrize(
    ("params", "given", "words"),
    [
        (EvaluateParams, {}, "`code`: expected a string of code, got nothing"),
        (EvaluateParams, [], "`code`: expected a string of code, got nothing"),
        (EvaluateParams, {"code": 1}, "`code`: expected a string of code, got the number 1"),
        (EvaluateParams, {"code": None}, "`code`: expected a string of code, got null"),
        (EvaluateParams, {"code": ["x"]}, "`code`: expected a string of code, got an array"),
        (EvaluateParams, {"code": "", "wait": -1}, "`wait`: expected a number of seconds from 0 to 300, got the"),
        (EvaluateParams, {"code": "", "wait": 300.5}, "`wait`: expected a number of seconds from 0 to 300"),
        (EvaluateParams, {"code": "", "wait": True}, "`wait`: expected a number of seconds from 0 to 300, got true"),
        (EvaluateParams, {"code": "", "wait": "1"}, "`wait`: expected a number of seconds from 0 to 300, got a string"),
        (EvaluateParams, '{"code": "", "wait": 1e400}', "`wait`: expected a number of seconds from 0 to 300"),
        (EvaluateParams, {"code": "", "timeout": 0}, "`timeout`: expected a number of seconds above 0"),
        (EvaluateParams, {"code": "", "silent": 1}, "`silent`: expected true or false, got the number 1"),
        (EvaluateParams, {"code": "", "cell": "a b"}, "`cell`: expected the id of a cell: 1 to 64 letters"),
        (EvaluateParams, {"code": "", "cell": "a\n"}, "`cell`: expected the id of a cell"),
        (EvaluateParams, {"code": "", "cell": "a" * 65}, "`cell`: expected the id of a cell"),
        (EvaluateParams, {"code": "", "cell": "é"}, "`cell`: expected the id of a cell"),
        (EvaluateParams, {"code": "", "metadata": []}, "`metadata`: expected an object"),
        (EvaluateParams, '{"code": "", "metadata": {"a": 1e999}}', "`metadata`: expected an object, with numbers of"),
        (EvaluateParams, {"code": "", "user_expressions": {"a": 1}}, "`user_expressions`: expected an object of str"),
        (EvaluateParams, {"code": "", "session": ""}, "`session`: expected the id of a session, got a string"),
        (EvaluateParams, {"cde": ""}, "`cde`: expected one of code, session, wait, cell"),
        (EvaluateParams, ["", None, 0] + [None] * 20, "`params`: expected at most 11 by position, got more"),
        (Nothing, {"x": 1}, "`x`: expected no params, got an unknown member"),
        (Nothing, {"x" * 100: 1}, "...`: expected no params"),
        (PollOutputParams, {"cursor": -1}, "`cursor`: expected an integer from 0: the last seq seen, got the"),
        (PollOutputParams, {"cursor": 1.5}, "`cursor`: expected an integer from 0"),
        (PollOutputParams, {"cursor": 2**63}, "`cursor`: expected an integer from 0"),
        (PollOutputParams, '{"cursor": ' + "9" * 5000 + "}", "`cursor`: expected an integer from 0: the last"),
        (PollOutputParams, {"limit": 0}, "`limit`: expected an integer from 1 to 10000"),
        (PollOutputParams, {"limit": 10_001}, "`limit`: expected an integer from 1 to 10000"),
        (PollOutputParams, {"max_bytes": 1023}, "`max_bytes`: expected an integer from 1024 to 16777216"),
        (PollOutputParams, {"max_bytes": 2**24 + 1}, "`max_bytes`: expected an integer from 1024 to 16777216"),
        (InspectParams, {"code": "", "detail_level": 2}, "`detail_level`: expected 0 (as `?`) or 1 (as `??`)"),
        (InspectParams, {"code": "", "cursor_pos": -1}, "`cursor_pos`: expected an integer from 0 to the length"),
        (LoginParams, {"username": "", "password": "x"}, "`username`: expected a string of 1 to 256 characters"),
        (LoginParams, {"username": "a", "password": "x" * 1025}, "`password`: expected a string of 1 to 1024"),
    ],
)  # fmt: skip
def test_what_was_expected(params: type[Struct], given: object, words: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read(params, given)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_unknown_member_is_named_whatever_it_is_called() -> None:
    for name in ("a`b", "x\ny", "$.a - at `$`", "", "😀"):
        with pytest.raises(InvalidParams) as caught:
            read(EvaluateParams, {"code": "", name: 1})
        assert caught.value.expected.startswith("one of code, session")
        assert caught.value.member.startswith(name.split("`")[0][:3])


def test_a_value_is_never_quoted_unless_it_is_a_number() -> None:
    with pytest.raises(InvalidParams) as caught:
        read(LoginParams, {"username": "ann", "password": ["hunter2"]})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("text", "value"), [("1.0", 1), ("1e2", 100), ("0.0", 0), ("-0", 0), ("7", 7)])
def test_a_whole_number_is_an_integer_however_it_is_written(text: str, value: int) -> None:
    cursor = read(PollOutputParams, f'{{"cursor": {text}}}').cursor
    assert (cursor, type(cursor)) == (value, int)


@pytest.mark.parametrize("text", ["1e300", "9007199254740994.0", "1.5", "-1.0"])
def test_no_integer(text: str) -> None:
    with pytest.raises(InvalidParams):
        read(PollOutputParams, f'{{"cursor": {text}}}')


@pytest.mark.parametrize("wait", [0, 300, 0.5, 1e2])
def test_wait_in_range(wait: float) -> None:
    assert read(EvaluateParams, {"code": "", "wait": wait}).wait == wait


def test_code_may_be_empty_and_beyond_the_bmp() -> None:
    assert read(EvaluateParams, {"code": ""}).code == ""
    assert read(EvaluateParams, {"code": "'😀'"}).code == "'😀'"


def test_every_member_says_what_it_expects() -> None:
    class Silent(Struct):
        x: int

    with pytest.raises(TypeError, match=r"Silent\.x needs"):
        ParamsReader(Silent)


def test_a_lenient_struct_gets_no_unknown_members_either() -> None:
    class Lenient(Struct):
        pass

    with pytest.raises(InvalidParams, match="`x`: expected no params, got an unknown member"):
        read(Lenient, {"x": 1})


MEMBERS = st.sampled_from(["code", "session", "wait", "cell", "metadata", "silent", "user_expressions", "timeout", "x"])
VALUES = st.sampled_from(
    ["null", "true", "false", "0", "1", "-1", "1.0", "1e2", "1e400", "301", "9" * 40, '""', '"a"', '"a b"', '"😀"',
     "[]", "{}", '{"a":1}', '{"a":"b"}', '{"a":1e999}', "[" * 90 + "]" * 90]
)  # fmt: skip


@given(st.lists(st.tuples(MEMBERS, VALUES), max_size=6))
def test_read_as_a_whole_or_member_by_member_it_is_the_same(members: list[tuple[str, str]]) -> None:
    """With a token in it an object is read member by member; any member may stand there twice."""
    texts = [f'"{name}":{value}' for name, value in members]
    reader = ParamsReader(EvaluateParams)
    found: list[Any] = []
    for text in ("{" + ",".join(texts) + "}", "{" + ",".join([*texts, '"token":"t"']) + "}"):
        try:
            found.append(reader.read(Raw(text.encode()))[0])
        except InvalidParams as error:
            found.append(str(error))
    assert found[0] == found[1]
