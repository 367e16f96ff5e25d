"""docs/reliability.md names tests and faults that there are, and every fault."""

import re
from pathlib import Path

import msgspec

from tests.chaos import figures, results
from tests.chaos.faults import FAULTS
from tests.chaos.soak import results as soak
from tests.chaos.soak.samples import Cost, Sample, trends

ROOT = figures.PAGE.parents[1]
PAGE = figures.PAGE.read_text()
MATRIX = PAGE.partition("## When something fails")[2].partition("\n## ")[0]
MIB = 1 << 20


def test_the_tests_are_there() -> None:
    named = set(re.findall(r"tests/[\w/]+\.py", PAGE))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_fault_has_its_row() -> None:
    rows = [line.split("|") for line in MATRIX.splitlines() if line.startswith("|")][2:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[4])]
    assert sorted(named) == sorted(fault.name for fault in FAULTS)


def test_the_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)", PAGE):
        assert f"\n{target}:" in makefile


def test_figures_go_where_they_belong(tmp_path: Path) -> None:
    row = results.Row("cut", "", 3, 1000, 2, 0, 0, 1, 0.5, 0)
    skipped = results.Row("disk_full", "", 0, 0, 0, 0, 0, 0, 0.0, 0, "no room")
    report = results.Report(1, "machine", 2, "1.0", 2, 2, 5, 60.0, [row, skipped], [])
    text = figures.replaced(PAGE, "chaos", figures.chaos_part(results.encode(report)))
    assert "| cut | 3 | 1,000 | 2 | 0 | 0 | 1 | 0.50 | 0 |\n" in text
    assert "`disk_full` was not done: no room" in text
    again = figures.replaced(text, "chaos", "")
    assert again == figures.replaced(PAGE, "chaos", "")


def test_runs_of_single_faults_are_joined() -> None:
    def run(fault: str, breaches: list[results.Breach]) -> bytes:
        rows = [results.Row(name, "", 2, 10, 0, 0, 0, 0, 0.5, 0) for name in (fault, "stop")]
        return results.encode(results.Report(1, "machine", 2, "1.0", 2, 2, 5, 60.0, rows, breaches))

    text = figures.chaos_part(run("cut", []), run("front_kill", [results.Breach("front_kill", 1, "doubled")]))
    names = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert names == ["fault", "---", "front_kill", "cut", "stop"]
    assert "| stop | 4 |" in text
    assert "2 minutes. Promises broken: 1." in text


def sample(at_s: float, descriptors: int, mib: int) -> Sample:
    cost = Cost(1, descriptors, mib * MIB, mib * MIB)
    return Sample(at_s, 10, MIB, dict.fromkeys(("supervisor", "front", "host", "kernels"), cost))


def test_a_soak_run_fails_when_something_grows() -> None:
    steady = trends([sample(second, 20, 40) for second in range(9)])
    assert all(trend.fine for trend in steady)
    growing = trends([sample(second, 20 + 5 * second, 40 + 4 * second) for second in range(9)])
    grown = {trend.what for trend in growing if not trend.fine}
    assert grown == {
        f"{role}: {what}" for role in ("supervisor", "front", "host") for what in ("descriptors", "memory (MiB PSS)")
    }


def test_the_table_of_a_soak_run() -> None:
    found = trends([sample(second, 20, 40) for second in range(3)])
    report = soak.Report("machine", 2, "1.0", 1, 32, 2, 1800.0, {"compute": 9}, [], found, [])
    text = figures.soak_part(msgspec.json.encode(report))
    assert "| host: descriptors | 20.0 | 20.0 | 36.0 |\n" in text
