import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import Summary, quantile, ratio, summarize

TIMES = st.lists(st.floats(0, 1e6), min_size=2, max_size=50)


@pytest.mark.parametrize(
    ("part", "value"), [(0, 10.0), (0.25, 17.5), (0.5, 25.0), (0.75, 32.5), (0.95, 38.5), (1, 40.0)]
)
def test_quantiles_of_four_values(part: float, value: float) -> None:
    assert quantile([10.0, 20.0, 30.0, 40.0], part) == pytest.approx(value)


@pytest.mark.parametrize("part", [0, 0.5, 0.95, 1])
def test_one_value_is_every_quantile(part: float) -> None:
    assert quantile([7.0], part) == 7.0


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


@given(TIMES)
def test_quantiles_are_those_of_the_standard_library(times: list[float]) -> None:
    ordered = sorted(times)
    cuts = statistics.quantiles(ordered, n=20, method="inclusive")
    assert [quantile(ordered, step / 20) for step in range(1, 20)] == pytest.approx(cuts)


def test_summary_is_in_milliseconds_and_ignores_the_order() -> None:
    found = summarize([0.003, 0.001, 0.002, 0.005, 0.004])
    assert found.count == 5
    assert (found.median_ms, found.p95_ms, found.iqr_ms) == pytest.approx((3.0, 4.8, 2.0))


def test_one_wild_time_moves_neither_median_nor_iqr() -> None:
    calm, wild = summarize([1.0] * 9), summarize([1.0] * 8 + [100.0])
    assert (wild.median_ms, wild.iqr_ms) == (calm.median_ms, calm.iqr_ms)
    assert wild.p95_ms > calm.p95_ms


def test_no_times_have_no_summary() -> None:
    with pytest.raises(ValueError, match="no values"):
        summarize([])


def test_ratio_is_that_of_the_medians() -> None:
    assert ratio(summarize([0.006, 0.006]), summarize([0.004, 0.004])) == pytest.approx(1.5)


@pytest.mark.parametrize("base", [None, summarize([0.0])])
def test_no_ratio_without_a_base(base: Summary | None) -> None:
    assert ratio(summarize([0.006]), base) is None
