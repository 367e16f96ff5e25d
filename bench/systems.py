"""The systems that are compared, by name."""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

from bench.adapters.jupyter_client import JupyterClient
from bench.adapters.jupyter_server import GATEWAY, PEERS, SERVER, JupyterServer, peers_python
from bench.adapters.kernelwire import Kernelwire
from bench.adapters.raw import STOCK, RawSystem, launched
from bench.protocol import NotThere, System
from kernel_bridge import launch
from kernelwire.settings import known

RAW_STOCK, RAW_LAUNCHER = "raw-stock", "raw-launcher"
OURS = "kernelwire"
PLAIN, FORK, POOL, SCIENTIFIC = "kernelwire-plain", "kernelwire-fork", "kernelwire-pool", "kernelwire-scientific"
POLLED = "kernelwire-polled"
NETWORKED = ("server", "server-nodelay", "gateway", "gateway-nodelay")
MAIN = (RAW_STOCK, RAW_LAUNCHER, "jupyter-client", OURS, *NETWORKED)
"""one of each kind"""

FORK_SETTING, POOL_SETTING, PRELOAD_SETTING = "bridge.fork_server", "bridge.pool", "bridge.preload"
POOL_SIZE = "4"
CALLS_SETTING, CALLS = "rpc.calls_at_once", "10000"
SPEC = "scientific"
"""both the kernelspec and what it preloads"""

ABOUT = {
    RAW_STOCK: "a stock ipykernel over ipc; blocking pyzmq, all on shell",
    RAW_LAUNCHER: "the same under kernelwire's launcher; blocking pyzmq, all on shell",
    "jupyter-client": JupyterClient.about,
    OURS: "kernelwire serve with default settings, over HTTP; blocking http.client, kept alive, TCP_NODELAY",
    PLAIN: "kernelwire, each kernel a process of its own",
    FORK: "kernelwire, each kernel forked when it is needed",
    POOL: f"kernelwire, {POOL_SIZE} forked kernels waiting",
    SCIENTIFIC: "kernelwire, numpy, sympy and matplotlib loaded before the fork where there is one",
    POLLED: f"kernelwire, {CALLS_SETTING} raised to {CALLS}: one user makes all the calls",
    "server": "Jupyter Server as it is; blocking websocket-client, TCP_NODELAY",
    "server-nodelay": "the same with TCP_NODELAY forced in the server",
    "gateway": "Jupyter Kernel Gateway as it is; blocking websocket-client, TCP_NODELAY",
    "gateway-nodelay": "the same with TCP_NODELAY forced in the server",
}


def build(name: str, directory: Path) -> System:
    """A system that is not started; it works in `directory`, which it makes. Raises NotThere."""
    return _BUILDERS[name](name, directory)


def _raw(name: str, directory: Path) -> System:
    launcher = Path(launch.__file__).with_name("launcher.py")
    return RawSystem(name, ABOUT[name], STOCK if name == RAW_STOCK else launched(launcher), directory)


def _jupyter_client(_: str, directory: Path) -> System:
    return JupyterClient(directory)


def _kernelwire(name: str, directory: Path) -> System:
    return Kernelwire(directory, name, ABOUT[name], _way(name))


def _polled(name: str, directory: Path) -> System:
    return Kernelwire(directory, name, ABOUT[name], {CALLS_SETTING: CALLS})


def _scientific(name: str, directory: Path) -> System:
    """A kernelspec of the peers' interpreter, which has the packages."""
    python = peers_python()
    spec = directory.parent / "kernelspecs" / "kernels" / SPEC / "kernel.json"
    spec.parent.mkdir(parents=True, exist_ok=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": SPEC, "language": "python"}))
    settings = {PRELOAD_SETTING: json.dumps({SPEC: [SPEC]})} if PRELOAD_SETTING in known() else {}
    return Kernelwire(directory, name, ABOUT[name], settings, SPEC, spec.parents[2])


def _way(name: str) -> Mapping[str, str]:
    """The settings that choose how kernels start. Raises NotThere where kernelwire has no such choice."""
    there = known()
    fork, pool = {OURS: (None, None), PLAIN: ("false", "0"), FORK: ("true", "0"), POOL: ("true", POOL_SIZE)}[name]
    needed = {FORK: (FORK_SETTING,), POOL: (FORK_SETTING, POOL_SETTING)}.get(name, ())
    if missing := [key for key in needed if key not in there]:
        raise NotThere(f"kernelwire has no setting {' and '.join(missing)} yet")
    wanted = {FORK_SETTING: fork, POOL_SETTING: pool}  # what it has no setting for, it does not do
    return {key: value for key, value in wanted.items() if value is not None and key in there}


def _peer(name: str, directory: Path) -> System:
    peers_python()
    program = SERVER if name.startswith("server") else GATEWAY
    return JupyterServer(name, ABOUT[name], program, directory, nodelay=name.endswith("-nodelay"))


_BUILDERS: Mapping[str, Callable[[str, Path], System]] = {
    RAW_STOCK: _raw,
    RAW_LAUNCHER: _raw,
    "jupyter-client": _jupyter_client,
    OURS: _kernelwire,
    PLAIN: _kernelwire,
    FORK: _kernelwire,
    POOL: _kernelwire,
    SCIENTIFIC: _scientific,
    POLLED: _polled,
    **dict.fromkeys(NETWORKED, _peer),
}


def peer_versions(packages: Sequence[str]) -> dict[str, str]:
    """Of packages in the peers' environment; empty without it."""
    libraries = [str(path) for path in PEERS.glob("lib/python*/site-packages")]
    found = {dist.name.replace("-", "_"): dist.version for dist in distributions(path=libraries)}
    return {name: found[name] for name in packages if name in found}
