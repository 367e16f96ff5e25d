"""A running `kernelwire serve`, as a test starts it, looks into it and stops it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kernel_bridge import leftovers
from kernel_bridge.forkserver import server
from tests.e2e import processes, terminal
from tests.e2e.processes import Process
from tests.e2e.terminal import Output

KERNELWIRE = str(Path(sys.executable).parent / "kernelwire")
FORK_SERVER = str(Path(server.__file__))
START_S = 60.0
STOP_S = 45.0
COMMAND_S = 20.0
START_LINE = re.compile(r"^kernelwire \d+\.\d+\.\d+\S* on (https?://\S+)$", re.MULTILINE)
# What a developer's own settings would change
_NOT_INHERITED = ("KERNELWIRE_", "JUPYTER", "IPYTHON", "XDG_", "PYTHON", "http_proxy", "HTTP_PROXY", "ALL_PROXY")


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every program that the tests start: nothing of the user's own settings, an empty home."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", **(extra or {})}


def kernelwire(
    *arguments: str, home: Path, stdin: str = "", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; a `serve` that should have refused, but runs, is ended as Ctrl-C would."""
    command = [KERNELWIRE, *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home, extra),
    )
    try:
        stdout, stderr = process.communicate(stdin, timeout=COMMAND_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=STOP_S)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@dataclass(slots=True)
class Service:
    """One run. Made by `start`; ended by `stop`, which checks that nothing is left, or `killed`."""

    state_dir: Path
    process: subprocess.Popen[bytes]
    output: Output
    log: Path
    url: str
    on_terminal: bool
    seen: set[Process] = field(default_factory=set[Process])
    private: set[str] = field(default_factory=set[str])
    """passwords, tokens and code: none of it may be in the log"""

    @classmethod
    def start(
        cls,
        state_dir: Path,
        *,
        arguments: Sequence[str] = (),
        extra: Mapping[str, str] | None = None,
        on_terminal: bool = False,
        prefix: Sequence[str] = (),
        program: str = KERNELWIRE,
        home: Path | None = None,
    ) -> "Service":
        """Return when the start line is there. `prefix`: a command that runs ours."""
        home = home or state_dir.parent / "home"
        log = home / f"serve-{len(list(home.glob('serve-*')))}.log"
        command = [*prefix, program, "serve", "--port", "0", "--state-dir", str(state_dir), *arguments]
        env = environment(home, extra)
        if on_terminal:
            output, theirs = terminal.open_terminal()
            command = terminal.on_terminal(sys.executable, command)
        else:
            ours, theirs = os.pipe()
            output = Output(ours)
        try:
            with log.open("wb") as errors:
                process = subprocess.Popen(
                    command,
                    stdin=theirs if on_terminal else subprocess.DEVNULL,
                    stdout=theirs,
                    stderr=errors,
                    env=env,
                    process_group=None if on_terminal else 0,
                )
        finally:
            os.close(theirs)
        service = cls(state_dir, process, output, log, "", on_terminal)
        try:
            text = output.wait_for(" on http", START_S)
        except AssertionError as error:
            service.abandon()
            raise AssertionError(f"{error}\n{log.read_text()}") from None
        found = START_LINE.search(text)
        assert found is not None, text
        service.url = found[1]
        service.remember()
        return service

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def password(self) -> str:
        """Of `admin`, as long as nobody has shown it on a terminal."""
        password = (self.state_dir / "admin-password").read_text().strip()
        self.private.add(password)
        return password

    @property
    def sockets(self) -> Path:
        return Path((self.state_dir / "runtime").read_text())

    def one(self, word: str) -> Process:
        """The one process of this run that has `word`, `_front` or `_host`, on its command line."""
        found = [process for process in processes.of_state_dir(self.state_dir) if word in process.command]
        assert len(found) == 1, found
        return found[0]

    def kernels(self) -> list[Process]:
        """Kernels of sessions, their shims and what they started; shims, whose parent is none of them, come first."""
        of_us = ("serve", "_front", "_host", "kernelwire-fork-server", FORK_SERVER)
        waiting = self._waiting()
        running = [process for process in processes.of_state_dir(self.state_dir) if process.pid not in waiting]
        found = [process for process in running if not any(word in process.command for word in of_us)]
        pids = {process.pid for process in found}
        return sorted(found, key=lambda process: process.parent in pids)

    def _waiting(self) -> set[int]:
        """Kernels of the pool, which are no session's yet, and their shims."""
        found: set[int] = set()
        for path in self.state_dir.glob("kernels/*/kernel.json"):
            with contextlib.suppress(OSError):
                record = json.loads(path.read_bytes())
                if not record["session"]:
                    found |= {record["pid"], record["shim_pid"]}
        return found

    def kernel_of(self, session: str) -> tuple[Process, Process]:
        """The shim and the kernel of one session."""
        for path in self.state_dir.glob("kernels/*/kernel.json"):
            record = json.loads(path.read_bytes())
            shim, kernel = processes.read(record["shim_pid"]), processes.read(record["pid"])
            if record["session"] == session and shim is not None and kernel is not None:
                return shim, kernel
        raise AssertionError(f"no kernel of {session}")

    def remember(self) -> None:
        """Note what runs now: after the stop it must be gone, whatever it then works in or is called."""
        self.seen.update(processes.of_state_dir(self.state_dir))

    def press_ctrl_c(self) -> None:
        """On a terminal the key itself, which reaches the foreground process group; else SIGINT to the supervisor."""
        if self.on_terminal:
            os.write(self.output.descriptor, b"\x03")
        else:
            self.process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Ctrl-C, and what must hold after it."""
        try:
            self.remember()
            self.press_ctrl_c()
            self.check_stopped()
        finally:
            self.abandon()

    def check_stopped(self, timeout_s: float = STOP_S) -> None:
        """It ends by itself, with exit code 0, and leaves no process, no socket, no port and no secret in the log."""
        assert self.process.wait(timeout_s) == 0, self.log.read_text()
        left = [process for process in self.seen if process.alive()]
        assert not left, f"still running: {left}"
        assert not (found := processes.of_state_dir(self.state_dir)), f"still running: {found}"
        assert not self.sockets.exists()
        assert not (self.state_dir / "host.json").exists()
        assert not list(self.state_dir.glob("kernels/*"))
        with _refused():
            socket.create_connection((urlsplit(self.url).hostname or "", self.port), timeout=5).close()
        self.check_log()

    def check_log(self) -> None:
        """No trace of a defect, and nothing that a log must not know."""
        text = self.log.read_text(errors="replace")
        assert "Traceback" not in text, text
        assert "rpc.failure" not in text, text
        assert not (found := [secret for secret in self.private if secret in text]), f"in the log: {found}"

    def kill(self) -> None:
        """SIGKILL to the supervisor alone; what it leaves to the next one is the test's matter."""
        self.process.kill()
        self.process.wait(10)

    def abandon(self) -> None:
        """Leave nothing behind, whatever the test came to."""
        self.output.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for process in {*self.seen, *processes.of_state_dir(self.state_dir)}:
            if process.alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait(10)
        leftovers.forget_host(self.state_dir, "auto")


@contextlib.contextmanager
def running(state_dir: Path, *, extra: Mapping[str, str] | None = None) -> Generator[Service]:
    """A service for the block; after it, all that `stop` checks. If the block raises, only the end is made sure of."""
    service = Service.start(state_dir, extra=extra)
    try:
        yield service
    except BaseException:
        service.abandon()
        raise
    service.stop()


@contextlib.contextmanager
def _refused() -> Generator[None]:
    try:
        yield
    except ConnectionRefusedError:
        return
    raise AssertionError("the port is still open")
