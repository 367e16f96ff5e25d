"""How much room a directory takes."""

import os
from pathlib import Path

from kernel_bridge.disk_use import BLOCK, measure


def test_blocks_of_all_files_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for place in (tmp_path / "one", tmp_path / "a" / "two", tmp_path / "a" / "b" / "three"):
        place.write_bytes(os.urandom(100_000))
    blocks = sum(path.lstat().st_blocks for path in tmp_path.rglob("*")) * BLOCK
    found = measure(tmp_path)
    assert (found.bytes, found.whole) == (blocks, True)
    assert found.bytes >= 300_000


def test_holes_and_links_cost_nothing(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "big").write_bytes(os.urandom(500_000))
    (inside / "to-it").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    with (inside / "hole").open("wb") as file:
        file.truncate(1 << 40)
    assert measure(inside).bytes < 100_000


def test_the_look_is_bounded(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).touch()
    assert not measure(tmp_path, entries=10).whole
    assert not measure(tmp_path, look_s=-1.0).whole


def test_what_is_not_there_takes_no_room(tmp_path: Path) -> None:
    assert measure(tmp_path / "none").bytes == 0
