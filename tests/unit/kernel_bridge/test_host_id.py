"""The host's own id, in its file."""

from pathlib import Path

import pytest

from kernel_bridge import host_id


def test_it_is_made_once(tmp_path: Path) -> None:
    assert host_id.read(tmp_path) is None
    made = host_id.take(tmp_path)
    assert len(made) == 8
    assert host_id.take(tmp_path) == host_id.read(tmp_path) == made


@pytest.mark.parametrize("damaged", [b"", b"ab", b"../../..", b"\xff\x00\x80" * 9])
def test_a_damaged_one_is_made_anew(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / host_id.FILE).write_bytes(damaged)
    assert host_id.read(tmp_path) is None
    made = host_id.take(tmp_path)
    assert len(made) == 8
    assert made.isalnum()
    assert host_id.take(tmp_path) == made
