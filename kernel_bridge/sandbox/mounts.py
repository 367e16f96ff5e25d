"""What a kernel's root holds, as the list that roots.build takes: in order, each path once."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Literal

from msgspec import Struct

Kind = Literal["ro", "rw", "link", "tmp", "hide"]
LINKS_MAX = 40
"""as many symbolic links one path may lead through, see path_resolution(7)"""


class Mount(Struct, frozen=True):
    """One line of the list. `bytes` is the size of a `tmp`."""

    kind: Kind
    path: str
    bytes: int = 0


def arrange(
    *, read: Iterable[str], write: Iterable[str], hide: Iterable[str], temporary: Mapping[str, int]
) -> tuple[Mount, ...]:
    """Mounts for these paths, parents before what lies in them.

    What is not there is left out. Symbolic links on the way to a path are there as they are outside. Of two for one
    path that counts which comes first: hide, write, read, temporary. `hide` is needed where a bind would show it.
    """
    wanted: dict[str, Mount] = {}
    for path in hide:
        wanted[os.path.realpath(path)] = Mount("hide", os.path.realpath(path))
    paths: list[tuple[Kind, str]] = []
    paths.extend(("rw", path) for path in write)
    paths.extend(("ro", path) for path in read)
    links: list[str] = []
    for kind, path in paths:
        passed, real = reach(path)
        links += passed
        if os.path.exists(real):
            wanted.setdefault(real, Mount(kind, real))
    for path, size in temporary.items():
        wanted.setdefault(path, Mount("tmp", path, size))
    for path in links:
        wanted.setdefault(path, Mount("link", path))
    return tuple(_needed(wanted))


def reach(path: str) -> tuple[list[str], str]:
    """The symbolic links on the way to `path`, each with a real parent, and where it leads. Raises nothing: a loop, or
    what cannot be read, leads to itself."""
    links: list[str] = []
    here = "/"
    ahead = [part for part in path.split("/") if part not in ("", ".")]
    while ahead:
        part = ahead.pop(0)
        if part == "..":
            here = os.path.dirname(here)
            continue
        step = os.path.join(here, part)
        try:
            target = os.readlink(step)
        except OSError:
            here = step
            continue
        links.append(step)
        if len(links) > LINKS_MAX:
            return [], path
        here = "/" if target.startswith("/") else here
        ahead = [part for part in target.split("/") if part not in ("", ".")] + ahead
    return links, here


def is_below(path: str, top: str) -> bool:
    """Whether `path` is `top` or lies in it; both real."""
    return PurePosixPath(path).is_relative_to(top)


def _needed(wanted: Mapping[str, Mount]) -> Iterator[Mount]:
    kept: dict[str, Mount] = {}
    for path in sorted(wanted, key=lambda path: path.split("/")):
        mount = wanted[path]
        above = _above(path, kept)
        shown = above is not None and above.kind in ("ro", "rw")
        if mount.kind == "hide" and not shown:
            continue
        if mount.kind == "link" and shown:
            continue
        if shown and above is not None and mount.kind == above.kind:
            continue
        kept[path] = mount
        yield mount


def _above(path: str, kept: Mapping[str, Mount]) -> Mount | None:
    parents = (str(parent) for parent in PurePosixPath(path).parents)
    return next((kept[parent] for parent in parents if parent in kept and kept[parent].kind != "link"), None)
