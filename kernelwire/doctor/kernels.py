"""The kernelspecs of this machine, and what the interpreters behind them have."""

import asyncio
import re
import shlex
import shutil

from packaging.version import InvalidVersion, Version

from kernel_bridge.kernel_command import module_index
from kernel_bridge.kernelspecs import Kernelspecs, Spec, argv_for, environment
from kernelwire.doctor.finding import Finding, fine, problem, warning

IPYKERNEL = Version("7.4")
ASK = "import importlib.metadata as m, sys; print('kernelwire', sys.version.split()[0], m.version('ipykernel'))"
ANSWER = re.compile(r"^kernelwire (\S+) (\S+)$", re.MULTILINE)
ASK_S = 30.0
AT_ONCE = 2


async def check(specs: Kernelspecs | None = None) -> list[Finding]:
    """A finding for each kernelspec; every interpreter is asked, each for ASK_S at most."""
    specs = specs or Kernelspecs()
    try:
        names = await specs.names()
    except TimeoutError:
        return [
            problem("kernels", "the folders of kernelspecs do not answer", "look at `jupyter --paths`: a dead mount?")
        ]
    if not names:
        return [*_faults(await specs.faults()), _none()]
    default = await specs.default()
    places = asyncio.Semaphore(AT_ONCE)
    found = [await specs.get(name) for name in names]
    checked = await asyncio.gather(*(_check(spec, places, spec.name == default) for spec in found))
    return [*checked, *_faults(await specs.faults())]


def _none() -> Finding:
    return problem("kernels", "no kernelspec is installed", "python3 -m pip install ipykernel")


def _faults(faults: dict[str, str]) -> list[Finding]:
    mend = "mend or remove its kernel.json (`jupyter kernelspec list` says where it is)"
    return [problem(_about(name), f"left out: {fault}", mend) for name, fault in sorted(faults.items())]


async def _check(spec: Spec, places: asyncio.Semaphore, is_default: bool) -> Finding:
    command = argv_for(spec, "/dev/null", "")
    if shutil.which(command[0], path=environment(spec).get("PATH")) is None:
        mend = f"install it, or remove the kernelspec: jupyter kernelspec remove {spec.name}"
        return problem(_about(spec.name), f"its program {command[0]} is not there", mend)
    notes = f"{spec.display_name} ({spec.language})" + (", the default" if is_default else "")
    index = module_index(spec)
    if index is None:
        return fine(_about(spec.name), f"{notes}; not lossless: its kernel may drop output when it floods")
    async with places:
        return _judge(spec.name, notes, command[:index], await _ask([*command[:index], "-c", ASK], environment(spec)))


def _judge(name: str, notes: str, python: list[str], answer: str | None) -> Finding:
    install = f"{shlex.join(python)} -m pip install 'ipykernel>={IPYKERNEL}'"
    if answer is None:
        return problem(_about(name), f"{notes}; {python[0]} did not answer within {ASK_S:g} s", f"run {python[0]} -V")
    found = ANSWER.search(answer)
    if found is None:
        return problem(_about(name), f"{notes}; {python[0]} has no ipykernel", install)
    text = f"{notes}; Python {found[1]}, ipykernel {found[2]}, lossless"
    try:
        old = Version(found[2]) < IPYKERNEL
    except InvalidVersion:
        old = False
    if old:
        why = f"; before {IPYKERNEL} it can hang, and does not complete or inspect while a cell runs"
        return warning(_about(name), text + why, install)
    return fine(_about(name), text)


async def _ask(command: list[str], environment: dict[str, str]) -> str | None:
    """What the interpreter prints; None: it did not end in time. "" if it cannot be run."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            cwd="/",  # -c puts the working directory on the path
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(ASK_S):
            said, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode(errors="replace")


def _about(name: str) -> str:
    return f"kernel {name}"
