import pytest

from bench import tables
from bench.results import Figure
from tests.unit.bench.reports import report, section, time


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (14_012, "14,012"), (157.3, "157"), (13.66, "13.7"), (1.406, "1.41"), (0.0041, "0.004"), (2.0, "2")],
)
def test_a_number_has_the_digits_that_it_deserves(value: float, text: str) -> None:
    assert tables.number(value) == text


def test_a_section_has_a_row_for_each_system_and_a_ratio() -> None:
    found = tables.of_section(section("evaluate", time("raw-stock", 4), time("server", 48)))
    assert found.head == ["system", "time, ms", "p95", "IQR", "x raw-stock"]
    assert found.rows == [["raw-stock", "4", "8", "1", "1"], ["server", "48", "96", "12", "12"]]


def test_without_raw_times_there_is_no_ratio() -> None:
    found = tables.of_section(section("loops", time("server", 48)))
    assert found.head == ["system", "time, ms", "p95", "IQR"]


def test_a_figure_that_one_system_lacks_is_a_dash() -> None:
    found = tables.of_section(section("idle", Figure("a", "idle", "MiB", 5), Figure("b", "host", "MiB", 6)))
    assert found.head == ["system", "idle, MiB", "host, MiB"]
    assert found.rows == [["a", "5", "-"], ["b", "-", "6"]]


def test_numbers_of_sessions_are_rows_of_their_own() -> None:
    figures = [Figure("a", "PSS", "MiB", 10.0 * count, sessions=count) for count in (1, 4)]
    found = tables.of_section(section("scaling", *figures))
    assert found.rows == [["a", "1", "10"], ["a", "4", "40"]]


def test_targets_say_what_was_reached_and_what_was_not() -> None:
    figures = [time("raw-stock", 4), time("raw-launcher", 3), time("kernelwire", 3.9)]
    found = report(section("evaluate", *figures), section("inspect", missing={"all": "failed: x"}))
    rows = tables.of_targets(found).rows
    assert [row[3:] for row in rows] == [["0.97", "**no**"], ["1.30", "yes"], ["-", "failed: x"]]
    assert tables.missed(found) == ["evaluate `1+1`, against raw 0MQ on a stock kernel: 0.97 instead of <= 0.85"]


@pytest.mark.parametrize(("part", "words"), [(0.05, ""), (0.9, "other work took up to 90 % of its CPUs")])
def test_a_machine_that_was_not_quiet_is_said(part: float, words: str) -> None:
    found = tables.disturbed(report(section("evaluate", other_work=0.01), section("idle", other_work=part)))
    assert words in found
    assert bool(found) == bool(words)
