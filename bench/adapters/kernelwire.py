"""kernelwire: the real service, started by `kernelwire serve`, over HTTP."""

import re
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench import processes
from bench.adapters.first_session import FirstSession
from bench.adapters.jsonrpc_client import JsonRpcClient
from bench.adapters.kernelwire_session import KernelwireSession
from bench.protocol import BenchFailed

START_S = 60.0
STOP_S = 45.0
ANSWER_S = 60.0
START_LINE = re.compile(r"kernelwire \S+ on (http://([0-9.]+):(\d+))\n")
ROLES = {"front": "_front", "host": "_host"}
"""the supervisor's children, by their command"""
LIMITS = {
    "bridge.sessions_per_user": "256",
    "rpc.long_polls": "8192",
    "bridge.orphan_grace_s": "20",
}
"""one user has all sessions and polls here; and kernels of a benchmark that was killed end soon"""


class _Opened(msgspec.Struct):
    session: str


class Kernelwire(FirstSession):
    """One `kernelwire serve` on a state directory of its own.

    `settings`: by dotted key, beside LIMITS. `kernel`: the sessions' kernelspec (None: the default one), looked for in
    `jupyter_path` too.
    """

    def __init__(
        self,
        directory: Path,
        name: str = "kernelwire",
        about: str = "kernelwire serve over HTTP; blocking http.client, kept alive, TCP_NODELAY",
        settings: Mapping[str, str] | None = None,
        kernel: str | None = None,
        jupyter_path: Path | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.about = about
        self._directory = directory
        self._state_dir = directory / "state"
        self._settings = LIMITS | dict(settings or {})
        self._kernel = kernel
        self._jupyter_path = jupyter_path
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ("", 0)
        self._token = ""
        self.url = ""

    def start(self) -> None:
        runtime = self._directory / "run"
        runtime.mkdir(mode=0o700, parents=True)  # sockets go with our directory, whatever happens to the service
        env = processes.environment(self._directory) | {"XDG_RUNTIME_DIR": str(runtime)}
        env |= {f"KERNELWIRE_{key.upper().replace('.', '__')}": value for key, value in self._settings.items()}
        if self._jupyter_path is not None:
            env["JUPYTER_PATH"] = str(self._jupyter_path)
        argv = [sys.executable, "-P", "-m", "kernelwire", "serve", "--port", "0", "--state-dir", str(self._state_dir)]
        self._process = processes.spawn(argv, self._directory, env, stdout=subprocess.PIPE)
        self._read_address(self._process)

    def log_in(self) -> float:
        """Log in, which opens a session that is never used; `open` needs it. The seconds that it took."""
        client = JsonRpcClient(*self._address, ANSWER_S)
        password = (self._state_dir / "admin-password").read_text().strip()
        try:
            begun = time.perf_counter()
            self._token, _ = client.log_in("admin", password)
            return time.perf_counter() - begun
        finally:
            client.close()

    def open(self) -> KernelwireSession:
        return self.opened(JsonRpcClient(*self._address, ANSWER_S, self.token()))

    def opened(self, client: JsonRpcClient) -> KernelwireSession:
        """A new session, which has `client` from then on."""
        try:
            params = {} if self._kernel is None else {"kernel": self._kernel}
            session = KernelwireSession(client, client.call("open_session", params, _Opened).session, self._state_dir)
        except BenchFailed:
            client.close()
            raise
        self._remember(session)
        return session

    def token(self) -> str:
        if not self._token:
            self.log_in()
        return self._token

    def client(self) -> JsonRpcClient:
        """One more connection with the user's token; the caller closes it."""
        return JsonRpcClient(*self._address, ANSWER_S, self.token())

    def servers(self) -> dict[str, tuple[int, ...]]:
        """The fronts and the host."""
        assert self._process is not None
        children = processes.children(self._process.pid)
        found = {role: tuple(pid for pid in children if self._is(pid, word)) for role, word in ROLES.items()}
        if not all(found.values()):
            raise BenchFailed(f"{self.name}: expected a front and a host, found processes {children}")
        return found

    def supervisor(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def close(self) -> None:
        if self._process is not None:
            processes.end(self._process, STOP_S)
            self._process = None
        self._close_sessions()  # the service has ended their kernels: what is left are connections

    def _read_address(self, process: subprocess.Popen[bytes]) -> None:
        """From the line that the service prints when it answers; the few lines after it stay unread."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline().decode() if selector.select(START_S) else ""
        found = START_LINE.fullmatch(line)
        if found is None:
            words = (self._directory / "stderr").read_text(errors="replace")[-2000:].strip()
            raise BenchFailed(f"{self.name}: the service did not start: {line}{words}")
        self.url = found[1]
        self._address = found[2], int(found[3])

    @staticmethod
    def _is(pid: int, word: str) -> bool:
        try:
            return word in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return False
