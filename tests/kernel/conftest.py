from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kernel.house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Sessions of a host, with short patience where a test would have to wait."""
    async with house(tmp_path, idle_grace_s=2.0, interrupt_again_s=1.0, interrupt_kill_s=1.0) as made:
        yield made
