"""What of the sandbox this machine can do, tried in earnest: prints one line a layer, `NAME yes|no WORDS`.

Run by path as `python -I -S trial.py [UID]`; standard library only. It leaves nothing behind. With UID, what that user
can do, as whom a kernel may run.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernel_bridge import shim
    from kernel_bridge.sandbox import entry
else:
    import _frozen_importlib_external as files

    def load(name: str) -> Any:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
        module = type(sys)("_kernelwire_trial_" + os.path.basename(name).removesuffix(".py"))
        module.__file__ = path
        files.SourceFileLoader(module.__name__, path).exec_module(module)
        return module

    shim, entry = load("../shim.py"), load("entry.py")

SYSTEM = [path for path in ("/usr", "/nix/store", "/gnu/store") if os.path.isdir(path)]


def become() -> None:
    if len(sys.argv) > 1:
        shim.limits.become(int(sys.argv[1]), shim.LIBC)


def fields(level: str) -> dict[bytes, list[bytes]]:
    return {
        b"sandbox_level": [level.encode()],
        b"sandbox_network": [b"0"],
        b"sandbox_sockets": [b"/tmp"],
        b"sandbox_shm_bytes": [b"1048576"],
        b"sandbox_home": [b"/"],
        b"sandbox_mount": [b"tmp 1048576 /tmp", *(b"ro 0 " + path.encode() for path in SYSTEM)],
    }


def namespaces() -> str:
    """Why a kernel cannot enter them; empty if it can."""
    said, tell = os.pipe()
    gate, opener = os.pipe()
    sandbox = entry.Sandbox(fields("namespaces"))
    child = os.fork()
    if child == 0:
        try:
            os.close(opener)
            os.dup2(tell, 2)
            become()
            sandbox.enter()
            sandbox.stand_ready()
            os.read(gate, 1)  # as a kernel does: one that has ended cannot be adopted
            sandbox.close_doors()
            os._exit(0)
        except OSError as error:
            os.write(tell, (error.strerror or str(error)).encode())
        finally:
            os._exit(1)
    os.close(tell)
    try:
        try:
            init, _ = sandbox.adopt(child)
        finally:
            os.close(opener)
        status = sandbox.ended_with(os.waitpid(init, 0)[1])
        return "" if status == 0 else os.read(said, 4096).decode(errors="replace") or f"status {status}"
    except OSError as error:
        return os.read(said, 4096).decode(errors="replace") or str(error)


def filters() -> str:
    """Why there is no seccomp filter; empty if there is."""
    column = entry.seccomp.machine()
    if column is None:
        return "there is no filter for " + os.uname().machine
    child = os.fork()
    if child == 0:
        try:
            become()
            entry.syscalls.prctl(entry.syscalls.PR_SET_NO_NEW_PRIVS, 1)
            entry.seccomp.install(entry.seccomp.program(column))
            os._exit(0)
        except OSError:
            os._exit(1)
    return "" if os.waitpid(child, 0)[1] == 0 else "it is refused"


def main() -> None:
    shim.prctl(shim.PR_SET_CHILD_SUBREAPER, 1)
    version = entry.landlock.version()
    refused = namespaces()
    no_filter = filters()
    for name, there, words in (
        ("namespaces", not refused, refused),
        ("landlock", version > 0, f"version {version}" if version else "the system has none"),
        ("seccomp", not no_filter, no_filter),
    ):
        print(name, "yes" if there else "no", " ".join(words.split()))  # noqa: T201  the answer


if __name__ == "__main__":
    main()
