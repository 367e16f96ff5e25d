"""Jupyter Server and Jupyter Kernel Gateway, from the environment that `make bench-peers` makes."""

import http.client
import secrets
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench import processes
from bench.adapters.first_session import FirstSession
from bench.adapters.jupyter_socket import JupyterSocket
from bench.protocol import BenchFailed, NotThere

PEERS = Path(__file__).parents[2] / ".venv-peers"
NODELAY = Path(__file__).with_name("nodelay.py")
START_S = 60.0
STOP_S = 15.0
ASK_S = 5.0
PAUSE_S = 0.05

SERVER = ("jupyter_server", "ServerApp")
GATEWAY = ("kernel_gateway", "KernelGatewayApp")


def peers_python() -> Path:
    """The interpreter of the peers' environment. Raises NotThere."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        raise NotThere("not installed: make bench-peers")
    return python


class JupyterServer(FirstSession):
    """One server process on loopback with a token; its settings are the defaults.

    `program`: SERVER or GATEWAY. `nodelay`: TCP_NODELAY forced on every connection.
    """

    def __init__(self, name: str, about: str, program: tuple[str, str], directory: Path, *, nodelay: bool) -> None:
        super().__init__()
        self.name = name
        self.about = about
        self._directory = directory
        self._program = program
        self._nodelay = nodelay
        self._token = secrets.token_hex(16)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises NotThere, BenchFailed."""
        python = peers_python()
        self._directory.mkdir()
        self._port = _free_port()
        env = processes.environment(self._directory)
        env |= {"JUPYTER_TOKEN": self._token, "KG_AUTH_TOKEN": self._token}
        self._process = processes.spawn(self._command(python), self._directory, env, stdout=subprocess.DEVNULL)
        self._wait_ready(self._process)

    def open(self) -> JupyterSocket:
        session = JupyterSocket(self.name, self._port, self._token)
        self._remember(session)
        session.start()
        return session

    def servers(self) -> dict[str, tuple[int, ...]]:
        assert self._process is not None
        return {"server": (self._process.pid,)}

    def close(self) -> None:
        if self._process is not None:
            processes.end(self._process, STOP_S)  # it ends its kernels
            self._process = None
        self._close_sessions()

    def _command(self, python: Path) -> Sequence[str]:
        module, app = self._program
        options = [f"--{app}.ip=127.0.0.1", f"--{app}.port={self._port}", f"--{app}.port_retries=0"]
        if self._program == SERVER:
            options += [f"--{app}.open_browser=False", "--allow-root", f"--{app}.root_dir={self._directory}"]
        return [str(python), *([str(NODELAY)] if self._nodelay else ["-m"]), module, *options]

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until and process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ASK_S)
            try:
                connection.request("GET", "/api", headers={"Authorization": f"token {self._token}"})
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(PAUSE_S)
        words = (self._directory / "stderr").read_text(errors="replace")[-2000:].strip()
        raise BenchFailed(f"{self.name}: the server did not start: {words}")


def _free_port() -> int:
    """One that was free a moment ago; if somebody takes it, the start fails, as there are no retries."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
