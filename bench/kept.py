"""bench/results/latest.json, the run that docs/performance.md is written from."""

from pathlib import Path

import msgspec

from bench import document
from bench.protocol import BenchFailed
from bench.results import Report

ROOT = Path(__file__).parents[1]
PROFILE = ROOT / "bench" / "results" / "profile.txt"
"""what `python -m bench.profile_call --keep` found last"""
LATEST = ROOT / "bench" / "results" / "latest.json"


def read() -> Report:
    """Raises BenchFailed, OSError."""
    try:
        return msgspec.json.decode(LATEST.read_bytes(), type=Report)
    except msgspec.MsgspecError as error:
        raise BenchFailed(f"{LATEST}: {error}") from None


def profile() -> str:
    """Of one evaluation; empty if none was kept. Raises OSError."""
    return PROFILE.read_text() if PROFILE.exists() else ""


def keep(report: Report) -> None:
    """Put a report into the file.

    What it has no figures of stays as it is in the file, if that is of this machine and these versions. Raises OSError.
    """
    try:
        before = read()
    except (BenchFailed, FileNotFoundError):
        before = None
    if before is not None and _fits(before, report):
        report = _joined(before, report)
    LATEST.parent.mkdir(parents=True, exist_ok=True)
    LATEST.write_bytes(encode(report))


def encode(report: Report) -> bytes:
    """As the file has it."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def write_document() -> list[str]:
    """Write the page and its charts; the paths of what has changed. Raises BenchFailed, OSError."""
    changed: list[str] = []
    for path, text in document.render(read(), profile()).items():
        place = ROOT / path
        if not place.exists() or place.read_text() != text:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            changed.append(path)
    return changed


def _fits(before: Report, report: Report) -> bool:
    return (before.versions, before.machine, before.cpus) == (report.versions, report.machine, report.cpus)


def _joined(before: Report, report: Report) -> Report:
    sections = {section.measure: section for section in before.sections}
    sections |= {one.measure: one for one in report.sections if one.figures or one.measure not in sections}
    return msgspec.structs.replace(
        report, systems={**before.systems, **report.systems}, sections=list(sections.values())
    )
