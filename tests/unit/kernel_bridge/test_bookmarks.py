from kernel_bridge.bookmarks import Bookmarks


def test_what_was_used_last_is_kept() -> None:
    bookmarks = Bookmarks(2)
    bookmarks.put(1, 5, 500)
    bookmarks.put(1, 6, 600)
    assert bookmarks.find(1, 5) == 500
    bookmarks.put(1, 7, 700)
    assert (bookmarks.find(1, 5), bookmarks.find(1, 6), bookmarks.find(1, 7)) == (500, None, 700)
    assert len(bookmarks) == 2


def test_the_same_event_has_another_place_in_another_segment() -> None:
    bookmarks = Bookmarks()
    bookmarks.put(1, 9, 900)
    assert bookmarks.find(9, 9) is None
    bookmarks.put(9, 9, 70)
    assert (bookmarks.find(1, 9), bookmarks.find(9, 9)) == (900, 70)
