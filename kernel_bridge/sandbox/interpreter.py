"""Where the program of a kernelspec has its files: an interpreter with its libraries, wherever somebody put it."""

import asyncio
import logging
import os
import shutil
from pathlib import Path

import msgspec

from kernel_bridge import privileges
from kernel_bridge.kernel_command import INTERPRETER, module_option
from kernel_bridge.sandbox.mounts import is_below, reach

LAUNCHER = str(Path(__file__).parent.parent / "launcher.py")
ASK_S = 20.0
ASK = (
    "import json, sys; print('kernelwire', json.dumps("
    "[sys.executable, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path]))"
)
FOLDERS = ("bin", "sbin", "MacOS")
SHEBANG_BYTES = 256

log = logging.getLogger("kernelwire.bridge.sandbox")


class Interpreters:
    """Asks each interpreter once. What is installed later is found where it was looked for before."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], asyncio.Task[list[str]]] = {}

    async def places(self, argv: list[str], env: dict[str, str]) -> list[str]:
        """Files and folders that a kernel of this command has to read. Bounded by ASK_S."""
        words = argv[: _words(argv)]
        key = (*words, env.get("PYTHONPATH", ""), env.get("PATH", ""))
        asking = self._known.get(key)
        if asking is None or (asking.done() and (asking.cancelled() or asking.exception() is not None)):
            asking = self._known[key] = asyncio.create_task(_find(words, env), name="interpreter-places")
        return await asyncio.shield(asking)


def _words(argv: list[str]) -> int:
    """How many words of `argv` are a Python and its options: then it can be asked."""
    if LAUNCHER in argv:  # behind a wrapper's own words too, as Sage's
        return argv.index(LAUNCHER)
    index = module_option(argv)
    if index is not None:
        return index
    is_python = INTERPRETER.fullmatch(Path(argv[0]).name) is not None
    if not is_python:
        return 1
    return next((at for at, word in enumerate(argv[1:], 1) if not word.startswith("-") or word == "-c"), 1)


async def _find(words: list[str], env: dict[str, str]) -> list[str]:
    program = shutil.which(words[0], path=env.get("PATH"))
    if program is None:
        return []
    found = await asyncio.to_thread(_around, program)
    if len(words) > 1 or INTERPRETER.fullmatch(Path(program).name):
        said = [path for path in await _ask([program, *words[1:]], env) if os.path.isabs(path)]
        found += said
        if said:  # what a wrapper has started may be a link to another environment's, and that to the system's
            found += await asyncio.to_thread(_around, said[0])
    found += [path for path in env.get("LD_LIBRARY_PATH", "").split(":") if os.path.isabs(path)]
    return [path for path in dict.fromkeys(found) if not _is_too_wide(path)]


def _around(program: str) -> list[str]:
    """The program, what it is a link to, what its first line names; each with the folder that it was installed into."""
    found: list[str] = []
    links, real = reach(program)
    for path in (*links, real):
        folder = os.path.dirname(path)
        found += [path, os.path.dirname(folder) if os.path.basename(folder) in FOLDERS else folder]
    try:
        with Path(real).open("rb") as file:
            first = file.read(SHEBANG_BYTES).partition(b"\n")[0]
    except OSError:
        return found
    words = os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []
    if words and words[0] != program and not words[0].startswith("/usr/"):
        found += _around(words[0])
    return found


async def _ask(command: list[str], env: dict[str, str]) -> list[str]:
    """What the interpreter says of itself; nothing if it cannot be asked."""
    if privileges.has():  # it would run with our rights what a session has put into its own home
        env = env | {"HOME": os.devnull, "PYTHONNOUSERSITE": "1"}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            "-c",
            ASK,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=env,
            cwd="/",
        )
    except OSError as error:
        log.warning("interpreter_not_asked program=%s error=%s", command[0], error)
        return []
    try:
        async with asyncio.timeout(ASK_S):
            said, _ = await process.communicate()
        line = next(line for line in said.splitlines() if line.startswith(b"kernelwire "))
        return msgspec.json.decode(line.partition(b" ")[2], type=list[str])
    except (TimeoutError, StopIteration, msgspec.MsgspecError):
        log.warning("interpreter_not_asked program=%s", command[0])
        return []
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _is_too_wide(path: str) -> bool:
    """The root, or somebody's whole home directory, which PYTHONPATH or a script's place may lead to."""
    real = os.path.realpath(path)
    home = os.path.realpath(Path.home())
    return real == "/" or (home != "/" and is_below(home, real))
