"""What tests of several folders share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import install


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """The bin folder of an installation that every user can run and only who runs the tests can change: made once, as
    it takes longer than most tests. Removed after the last."""
    place = Path(tempfile.mkdtemp(prefix="kernelwire-installed-"))
    try:
        place.chmod(0o755)
        yield install(place)
    finally:
        shutil.rmtree(place)
