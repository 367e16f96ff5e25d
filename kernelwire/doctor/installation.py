"""The interpreter and the packages that the service itself runs with."""

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from kernelwire.doctor.finding import Finding, fine, problem

OLDEST = (3, 11)


def check() -> Iterator[Finding]:
    yield _python()
    yield from _packages()


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.system()} {platform.release()}, {sys.executable}"
    if sys.version_info < OLDEST:
        return problem("python", text, "install kernelwire with Python 3.11 or newer")
    if sys.platform != "linux":
        return problem("python", text, "run kernelwire on Linux, or in a container with it")
    return fine("python", text)


def _packages() -> Iterator[Finding]:
    wanted = [Requirement(line) for line in metadata.requires("kernelwire") or []]
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    versions: list[str] = []
    for one in needed:
        try:
            version = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            yield problem("packages", f"{one.name} is missing", _install(one))
            continue
        versions.append(f"{one.name} {version}")
        if not one.specifier.contains(version, prereleases=True):
            yield problem("packages", f"{one.name} is {version}, needed is {one.specifier}", _install(one))
    yield fine("packages", ", ".join(sorted(versions, key=str.lower)))


def _install(one: Requirement) -> str:
    return f"{sys.executable} -m pip install '{one.name}{one.specifier}'"
