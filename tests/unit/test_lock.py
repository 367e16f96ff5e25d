"""requirements.lock: what `make lock` has pinned fits pyproject.toml, has hashes, and names no registry."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINS = {
    canonicalize_name(name): version for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE)
}


def test_it_fits_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    for text in (*project["dependencies"], *extras):
        asked = Requirement(text)
        assert canonicalize_name(asked.name) in PINS, f"run `make lock`: {text}"
        assert PINS[canonicalize_name(asked.name)] in asked.specifier, f"run `make lock`: {text}"


def test_everything_has_hashes_and_comes_from_nowhere_in_particular() -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", LOCK.strip())
    pinned = [entry for entry in entries if "==" in entry.splitlines()[0]]
    assert len(pinned) == len(PINS) > 30
    assert all("--hash=sha256:" in entry for entry in pinned)
    assert not re.findall(r"://|--index|--find-links|--trusted|(?:^|\s)/\S+|@ file", LOCK)
