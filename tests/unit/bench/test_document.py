"""docs/performance.md is what bench/results/latest.json says, and the charts that it shows are there."""

import re
from pathlib import Path

import msgspec
import pytest

from bench import document, kept
from bench.measures import BY_NAME, scaling
from bench.results import Figure, Report
from bench.targets import TARGETS
from tests.unit.bench.reports import report, section, time

SCALING = [
    Figure(system, quantity, unit, 2.0 * sessions, p95=3.0 * sessions, sessions=sessions)
    for system in ("kernelwire", "server-nodelay")
    for quantity, unit in (
        ("one of them alone", "ms"),
        ("time", "ms"),
        ("server CPU", "ms / evaluation"),
        ("evaluations", "/ s"),
        (scaling.BESIDE, "MiB"),
        (scaling.EACH, "MiB"),
    )
    for sessions in (1, 4)
]


def test_the_page_is_written_from_the_kept_run() -> None:
    page = (kept.ROOT / document.PAGE).read_text()
    assert document.render(kept.read(), kept.profile())[document.PAGE] == page, "python -m bench --document"
    for chart in re.findall(r"\]\((charts/[^)]*)\)", page):
        assert (kept.ROOT / "docs" / chart).stat().st_size > 0


def test_what_is_kept_was_measured_in_full() -> None:
    found = kept.read()
    assert not found.quick
    assert {section.measure for section in found.sections} == set(BY_NAME)


def test_every_target_is_in_the_page() -> None:
    page = document.render(kept.read())[document.PAGE]
    assert all(f"| {target.about} |" in page for target in TARGETS)


def test_charts_are_the_same_for_the_same_figures() -> None:
    first, second = (document.render(report(section("scaling", *SCALING))) for _ in range(2))
    assert first == second
    assert set(first) == {document.PAGE, *(f"docs/charts/{name}.svg" for name in ("latency", "cpu", "memory"))}
    assert "server-nodelay" in first["docs/charts/latency.svg"]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kept, "LATEST", tmp_path / "results" / "latest.json")


@pytest.mark.usefixtures("elsewhere")
def test_a_later_run_replaces_what_it_measured_and_keeps_the_rest() -> None:
    kept.keep(report(section("evaluate", time("server", 48)), section("idle", Figure("server", "idle", "MiB", 53))))
    kept.keep(report(section("evaluate", time("server", 47))))
    assert _values(kept.read()) == {"evaluate": 47.0, "idle": 53.0}


@pytest.mark.usefixtures("elsewhere")
def test_a_measure_that_failed_replaces_nothing() -> None:
    kept.keep(report(section("idle", Figure("server", "idle", "MiB", 53))))
    kept.keep(report(section("idle", missing={"all": "failed: it took too long"})))
    assert _values(kept.read()) == {"idle": 53.0}


@pytest.mark.usefixtures("elsewhere")
def test_figures_of_other_versions_are_not_mixed_in() -> None:
    kept.keep(report(section("idle", Figure("server", "idle", "MiB", 53))))
    kept.keep(report(section("evaluate", time("server", 47)), version="2"))
    assert _values(kept.read()) == {"evaluate": 47.0}


def test_a_report_is_read_as_it_was_written() -> None:
    found = report(section("evaluate", time("server", 48), missing={"gateway": "not installed"}))
    assert msgspec.json.decode(kept.encode(found), type=Report) == found


def _values(found: Report) -> dict[str, float]:
    return {section.measure: section.figures[0].value for section in found.sections}
