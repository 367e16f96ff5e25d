"""Two live sessions of two users on one host, one of which attacks the other; prints what got through, as JSON.

    PYTHON -m tests.security.stage DIRECTORY PROFILE LEVEL [users]

LEVEL: what is taken of what the machine has, `namespaces` or `landlock`. `users`: each session has a user of its own.
The service's own things are stand-ins, as nothing but their place matters; the machine's ports are one that this
process listens on.
"""

import asyncio
import json
import os
import secrets
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kernel_bridge import hop, results
from kernel_bridge.sandbox import probe, sandboxes
from kernel_bridge.sandbox.settings import SandboxSettings
from tests.kernel.house import ALICE, BOB, House, HouseWithUsers, house
from tests.security.attacks import ATTACKS, PRELUDE

VICTIM = """
import ctypes, os, tempfile
open('file', 'w').write('victim')
memory = ctypes.create_string_buffer(b'victim')
tmp = os.path.join('/tmp', f'kernelwire-victim-{key:x}'); open(tmp, 'w').write('victim')
shm = f'/dev/shm/kernelwire-victim-{key:x}'; open(shm, 'w').write('victim')
libc = ctypes.CDLL(None)
segment = libc.shmget(key, 4096, 0o1600)
{'file': os.path.abspath('file'), 'address': ctypes.addressof(memory), 'tmp': tmp, 'shm': shm, 'sysv': key}
"""
CLEAN = "libc.shmctl(segment, 0, None); [os.unlink(path) for path in (tmp, shm) if os.path.exists(path)]; 'clean'"


async def evaluate(home: House, caller: hop.Caller, session: str, code: str) -> results.Cell:
    return await home.ask(hop.Evaluate(caller=caller, session=session, code=code))


async def attack(directory: Path, profile: Any, kind: type[House]) -> dict[str, dict[str, Any]]:
    """By name of the attack: whether it got through, and what it said."""
    key = secrets.randbits(30) + 1
    async with house(directory, kind=kind, sandbox=SandboxSettings(profile=profile)) as home:
        victim, attacker = await home.open(ALICE), await home.open(BOB)
        said = await evaluate(home, ALICE, victim, f"key = {key}\n{VICTIM}")
        if said.end != "ok" and profile != "none":  # without namespaces its /tmp and its SysV memory are refused to it
            said = await evaluate(home, ALICE, victim, f"key = {key}\n{_without_refused(VICTIM)}")
        if said.end != "ok":
            raise RuntimeError(said.text)
        with ExitStack() as stack:
            facts = eval(said.text) | surroundings(home, victim, stack)  # noqa: S307  of our own cell
            begun = await evaluate(home, BOB, attacker, f"facts = {facts!r}\n{PRELUDE}")
            if begun.end != "ok":
                raise RuntimeError(begun.text)
            found: dict[str, dict[str, Any]] = {}
            for one in ATTACKS:
                cell = await evaluate(home, BOB, attacker, one.code)
                words = cell.text.strip().splitlines()[-1:] or [cell.end]
                found[one.name] = {"through": cell.text.strip() == "True", "words": words[0]}
        alive = await evaluate(home, ALICE, victim, "6 * 7")
        found["the victim works on"] = {"through": alive.text == "42", "words": alive.text}
        cleaned = await evaluate(home, ALICE, victim, CLEAN)
        if cleaned.text != "'clean'":
            raise RuntimeError(cleaned.text)
    return found


def _without_refused(code: str) -> str:
    return code.replace("open(tmp, 'w').write('victim')", "tmp")


def surroundings(home: House, victim: str, stack: ExitStack) -> dict[str, Any]:
    record = home.record(victim)
    kernel_dir = home.root / "kernels" / record.kid
    sockets = home.factory.place.sockets
    for name in ("secret", "kernelwire.db"):
        (home.root / name).write_text("a stand-in")
        (home.root / name).chmod(0o600)
    abstract = f"kernelwire-test-{os.getpid()}"
    for address in (str(sockets / "host"), "\0" + abstract):
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(address)
        listener.listen()
    stack.callback((sockets / "host").unlink)
    port = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    plant = Path(sys.prefix) / f"kernelwire-plant-{os.getpid()}"
    stack.callback(plant.unlink, missing_ok=True)
    return {
        "connection": str(kernel_dir / "connection.json"),
        "record": str(kernel_dir / "kernel.json"),
        "secret": str(home.root / "secret"),
        "database": str(home.root / "kernelwire.db"),
        "logs": str(home.root / "sessions" / "*" / "events-*"),
        "pid": record.pid,
        "shim": record.shim_pid,
        "sockets": str(sockets / record.kid / "s"),
        "hop": str(sockets / "host"),
        "abstract": abstract,
        "port": port.getsockname()[1],
        "plant": str(plant),
    }


def main() -> None:
    directory, profile, level = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    kind = HouseWithUsers if "users" in sys.argv[4:] else House
    if level == "landlock":
        has = probe.probe().all
        taken = tuple(layer for layer in has if layer.name != "namespaces")
        sandboxes.probe = lambda: probe.Layers((*taken, probe.Layer("namespaces", there=False, words="not taken")))
    print(json.dumps(asyncio.run(attack(directory, profile, kind))))  # noqa: T201  the answer


if __name__ == "__main__":
    main()
