import pytest

from bench.measures import BY_NAME
from bench.results import Figure
from bench.systems import ABOUT
from bench.targets import TARGETS, Target
from tests.unit.bench.reports import report, section, time

RATIO = Target("a call", "evaluate", "time", 1.4, base="raw-stock")
LEAST = Target("a rate", "loops", "evaluations a server CPU second", 1000, "/ s", at_least=True)


def test_a_ratio_is_that_to_the_base() -> None:
    found = report(section("evaluate", time("raw-stock", 4), time("kernelwire", 6), time("server", 48)))
    assert RATIO.value(found, "kernelwire") == 1.5
    assert RATIO.others(found) == {"server": 12.0}
    assert not RATIO.met(1.5)
    assert RATIO.met(1.4)


@pytest.mark.parametrize(("value", "met"), [(999, False), (1000, True)])
def test_some_are_to_be_exceeded(value: float, met: bool) -> None:
    assert LEAST.met(value) is met


def test_a_percentile_is_taken_where_it_is_meant() -> None:
    target = Target("p95", "loops", "time", 65, "ms", p95=True)
    assert target.value(report(section("loops", time("kernelwire", 30))), "kernelwire") == 60


def test_without_a_base_there_is_no_ratio() -> None:
    assert RATIO.value(report(section("evaluate", time("kernelwire", 6))), "kernelwire") is None
    assert RATIO.value(report(section("evaluate", time("raw-stock", 0), time("kernelwire", 6))), "kernelwire") is None


@pytest.mark.parametrize(
    ("missing", "words"),
    [({"kernelwire": "no memory"}, "no memory"), ({"all": "failed: x"}, "failed: x"), ({}, "not there")],
)
def test_why_there_is_no_figure(missing: dict[str, str], words: str) -> None:
    assert RATIO.missing(report(section("evaluate", missing=missing))) == words


def test_what_was_not_measured_says_so() -> None:
    assert RATIO.missing(report()) == "not measured"
    assert RATIO.value(report(), "kernelwire") is None


def test_our_own_ways_are_no_others() -> None:
    figures = [Figure(name, "lost", "", 0) for name in ABOUT]
    target = Target("lost", "flushed", "lost", 0)
    others = target.others(report(section("flushed", *figures)))
    assert "server" in others
    assert not any(name.startswith("kernelwire") or name == "raw-launcher" for name in others)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.about)
def test_a_target_is_about_something_that_is_measured(target: Target) -> None:
    measured = BY_NAME[target.measure].systems
    assert target.system in measured
    assert target.base is None or target.base in measured
