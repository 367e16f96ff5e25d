from kernel_bridge.display_index import DisplayIndex, Shown


def test_which_cells_show_a_display() -> None:
    index = DisplayIndex()
    assert not index
    index.record("c1", 4, ["a", "b"])
    index.record("c2", 9, ["b"])
    index.record("c3", 12, [])
    assert (index.cells("a"), index.cells("b"), index.cells("c")) == (["c1"], ["c1", "c2"], [])
    assert ("b" in index, "c" in index) == (True, False)
    assert (index.of("c2"), index.of("c3")) == (Shown(9, ("b",)), None)


def test_a_record_that_is_written_again_counts_alone() -> None:
    index = DisplayIndex()
    index.record("c1", 4, ["a", "b"])
    index.record("c1", 4, ["b"])
    assert (index.cells("a"), index.cells("b")) == ([], ["c1"])
    index.record("c1", 4, [])
    assert not index


def test_of_too_many_the_oldest_cells_are_forgotten() -> None:
    index = DisplayIndex(max_displays=3)
    index.record("c1", 1, ["a", "b"])
    index.record("c2", 2, ["c"])
    index.record("c3", 3, ["b", "d"])
    assert index.of("c1") is None
    assert (index.cells("a"), index.cells("b"), index.cells("c")) == ([], ["c3"], ["c2"])
    index.record("c4", 4, ["e", "f", "g", "h"])
    assert not index
