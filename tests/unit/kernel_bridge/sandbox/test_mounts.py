"""Which paths become mounts, and in which order."""

from pathlib import Path

from kernel_bridge.sandbox.mounts import Mount, arrange, reach


def kinds(mounts: tuple[Mount, ...], top: Path) -> list[tuple[str, str]]:
    return [(mount.kind, str(Path(mount.path).relative_to(top))) for mount in mounts]


def test_parents_come_first_and_what_is_shown_already_is_left_out(tmp_path: Path) -> None:
    top = tmp_path.resolve()
    for name in ("home/prefix/lib", "home/state/work", "home/state/other", "usr/lib", "usr-local"):
        (top / name).mkdir(parents=True)
    mounts = arrange(
        read=[str(top / name) for name in ("usr/lib", "usr", "usr-local", "home/prefix", "missing")],
        write=[str(top / name) for name in ("home", "home/state/work")],
        hide=[str(top / "home/state"), str(top / "elsewhere")],
        temporary={str(top / "tmp"): 5},
    )
    assert kinds(mounts, top) == [
        ("rw", "home"),
        ("ro", "home/prefix"),
        ("hide", "home/state"),
        ("rw", "home/state/work"),
        ("tmp", "tmp"),
        ("ro", "usr"),
        ("ro", "usr-local"),
    ]


def test_hiding_beats_everything_for_the_same_path(tmp_path: Path) -> None:
    top = tmp_path.resolve()
    (top / "a/b").mkdir(parents=True)
    both = [str(top / "a"), str(top / "a/b")]
    assert kinds(arrange(read=both, write=both, hide=[both[1]], temporary={}), top) == [("rw", "a"), ("hide", "a/b")]


def test_links_are_there_as_they_are_outside(tmp_path: Path) -> None:
    top = tmp_path.resolve()
    (top / "usr/bin").mkdir(parents=True)
    (top / "real").mkdir()
    (top / "bin").symlink_to("usr/bin")
    (top / "venv").symlink_to(top / "middle")
    (top / "middle").symlink_to("./x/../real")
    (top / "x").mkdir()
    (top / "usr/inside").symlink_to("bin")
    links, real = reach(str(top / "venv"))
    assert (links, real) == ([str(top / "venv"), str(top / "middle")], str(top / "real"))
    mounts = arrange(
        read=[str(top / name) for name in ("bin", "usr", "venv", "usr/inside")], write=[], hide=[], temporary={}
    )
    assert kinds(mounts, top) == [
        ("link", "bin"),
        ("link", "middle"),
        ("ro", "real"),
        ("ro", "usr"),
        ("link", "venv"),
    ]


def test_a_loop_of_links_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert arrange(read=[str(tmp_path / "a")], write=[], hide=[], temporary={}) == ()
