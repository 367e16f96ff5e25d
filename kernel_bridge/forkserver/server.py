"""The fork server: a Python that imports everything once and forks a shim with its kernel for each message.

    PYTHON [OPTION...] server.py ROOM

It runs by path in the kernelspec's own interpreter (Python >= 3.9) with that interpreter's options, because flags of
Python cannot be changed in a child. Standard input is a SEQPACKET socket to the host. The end of either is
this process's end.

Messages are JSON objects. From the host, first: `{v, given, preload, without}` (the environment that the process was
given; what to import; what not), then one `{kid, words}` for each launch with two descriptors: the launch as the shim
reads it, and a stream to the host which takes what the shim writes to standard output and gives one byte, without
which nothing starts. `words`: how many of argv are the interpreter and its options. To the host: `{importing}` before
each import, `{refused, reason}` or `{ready, left_out, installed}` once, then to each launch `{shim}` (its pid) with a
pidfd, or `{fault}`: nothing was started.

Tree: server -> shim -> kernel. The shim is a child of this process, leads a session of its own and outlives it.

Sources: fork(2), cmsg(3), pidfd_open(2), prctl(2), unix(7).
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # our own folder: no module here is anybody's to import

import gc
import importlib.util
import json
import os
import signal
import socket
import traceback
from typing import TYPE_CHECKING, Any

MESSAGE_BYTES = 256 * 1024
PRELOAD_S = 120
"""an import may hang: this process ends then, also when nobody is left to end it"""
GO_S = 15
"""a shim waits no longer for its byte"""

HERE = os.path.dirname(os.path.abspath(__file__))
BRIDGE = os.path.dirname(HERE)


def load(folder: str, name: str) -> Any:
    """A module of ours by its file, under no name that a cell could import."""
    spec = importlib.util.spec_from_file_location(f"_kernelwire_{name}", f"{folder}/{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"no {name}.py in {folder}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from kernel_bridge import launcher, shim
    from kernel_bridge.forkserver import command_line, memory, preloads, resets, thread_pools
    from kernel_bridge.sandbox import entry
else:
    command_line, memory = load(HERE, "command_line"), load(HERE, "memory")
    preloads, resets = load(HERE, "preloads"), load(HERE, "resets")
    thread_pools = load(HERE, "thread_pools")
    launcher, shim = load(BRIDGE, "launcher"), load(BRIDGE, "shim")
    entry = load(f"{BRIDGE}/sandbox", "entry")


class Control:
    """The host's end of this process."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=os.dup(0))  # dup in Python: closed on exec
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message with its descriptors. Ends the process when the host has gone."""
        data, fds, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 4, socket.MSG_CMSG_CLOEXEC)
        if not data:
            os._exit(0)
        return json.loads(data), fds

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Ends the process when the host has gone."""
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode()], fds)
        except OSError:
            os._exit(0)

    def close(self) -> None:
        self._socket.close()


class Prepared:
    """What the server has to hand on to kernels. Made when all is imported; lives as long as each of them."""

    def __init__(self, before: resets.Before) -> None:
        self.before = before
        self.pools = thread_pools.ThreadPools()
        self.installed = preloads.installed()
        self._filling = memory.settle()  # to free it would be to write to every page


class Kernel:
    """What a launch becomes in the forked process."""

    def __init__(self, asked: shim.Launch, words: int, prepared: Prepared) -> None:
        self._asked = asked
        self._words = words
        self._prepared = prepared

    def run(self) -> None:
        """Go on as the kernel; returns, or raises SystemExit, when it ends."""
        words = [os.fsdecode(word) for word in self._asked.argv]
        before = self._prepared.before
        before.restore(before.environment(self._asked.env))
        resets.reset_modules()
        self._prepared.pools.give_back()
        command_line.write(self._asked.argv)
        original: list[str] = getattr(sys, "orig_argv", [])  # since Python 3.10
        if original:
            original[len(original) - len(sys.argv) :] = words[self._words :]
        sys.argv[:] = words[self._words :]
        gc.enable()
        resets.after_start()
        if sys.argv[0] == "-m":
            launcher.become(sys.argv[1])
        else:
            launcher.main()


class Server:
    """Forks until the host has gone."""

    def __init__(self, control: Control, prepared: Prepared) -> None:
        self._control = control
        self._prepared = prepared

    def serve(self) -> Kernel:
        """Answer launches. Returns in a kernel only."""
        while True:
            message, fds = self._control.receive()
            forked = self._fork(message, fds)
            if forked is not None:
                return forked
            for fd in fds:
                os.close(fd)

    def _fork(self, message: dict[str, Any], fds: list[int]) -> Kernel | None:
        fault = self._fault(fds)
        if fault is not None:
            self._control.send({"fault": fault})
            return None
        try:
            pid = os.fork()
        except OSError as error:
            self._control.send({"fault": f"no process can be started: {error.strerror}"})
            return None
        if pid == 0:
            return self._in_child(message, fds)
        try:
            shim_fd = os.pidfd_open(pid)
        except OSError as error:
            self._control.send({"fault": f"no process can be watched: {error.strerror}"})
            return None
        self._control.send({"shim": pid}, (shim_fd,))
        os.close(shim_fd)
        return None

    def _fault(self, fds: list[int]) -> str | None:
        if len(fds) != 2:
            return "a launch came without its descriptors"
        threads = preloads.threads()
        if threads != 1:
            return f"the fork server has {threads} threads"
        if preloads.installed() != self._prepared.installed:
            return "packages were installed or removed since the fork server imported its own"
        return None

    def _in_child(self, message: dict[str, Any], fds: list[int]) -> Kernel:
        """Be the shim; returns in the kernel."""
        try:
            self._control.close()
            os.dup2(fds[0], 0)
            os.dup2(fds[1], 1)
            os.dup2(fds[1], 2)
            shim.close_descriptors()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked = shim.read_launch()
            command_line.write([asked.argv[0], shim.__file__.encode(), asked.kid])
            signal.alarm(GO_S)
            if not os.read(1, 1):
                os._exit(0)  # the host has given this launch up
            signal.alarm(0)
            shim.run(asked, entry)
            shim.close_descriptors()
        except BaseException:
            os.write(2, traceback.format_exc().encode(errors="replace"))
            os._exit(1)
        return Kernel(asked, message["words"], self._prepared)


def prepare(control: Control) -> Server:
    """Import what the host asks for and say how it went. A module that must not be here ends the process."""
    first, _ = control.receive()
    before = resets.Before(first["given"])
    command_line.write([os.fsencode(sys.executable), b"kernelwire-fork-server", *map(os.fsencode, first["preload"])])
    if command_line.read()[1:2] != [b"kernelwire-fork-server"]:
        raise OSError("the command line cannot be changed, by which a host finds its shims again")
    preloads.with_care()
    seen = dict(os.environ)
    signal.alarm(PRELOAD_S)
    try:
        left_out = preloads.import_all(
            first["preload"], first["without"], lambda name: control.send({"importing": name})
        )
    except preloads.Refused as refused:
        control.send({"refused": refused.module, "reason": refused.reason})
        os._exit(1)
    preloads.warm()
    before.see_imports(seen)
    signal.alarm(0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # shims that end are nobody's zombies
    sys.stdout.flush()
    sys.stderr.flush()
    prepared = Prepared(before)
    control.send({"ready": os.getpid(), "left_out": left_out, "installed": prepared.installed})
    return Server(control, prepared)


def main() -> Kernel:
    """The life of the server; returns in a kernel."""
    os.chdir("/")
    shim.close_descriptors()
    shim.prctl(shim.PR_SET_DUMPABLE, 0)
    # The end of the socket is seen between two imports only. What is forked does not inherit this.
    shim.prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        return prepare(Control()).serve()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main().run()
