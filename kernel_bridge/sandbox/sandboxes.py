"""The sandboxes of a host's kernels: which profile, at which level, with what in it."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from kernel_bridge.kernel_command import Spec
from kernel_bridge.sandbox.interpreter import Interpreters
from kernel_bridge.sandbox.plan import Own, Sandbox, Surroundings, plan
from kernel_bridge.sandbox.probe import Layers, probe
from kernel_bridge.sandbox.settings import Profile, SandboxSettings

PACKAGE = Path(__file__).parent.parent
LAUNCHER = PACKAGE / "launcher.py"
CONFIGURATION = "kernelwire"
"""folder of the service's settings, which may hold a database's password"""

log = logging.getLogger("kernelwire.bridge.sandbox")


class Sandboxes:
    """Made once a host."""

    def __init__(self, settings: SandboxSettings, state_dir: Path, sockets: Path) -> None:
        self._settings = settings
        self._interpreters = Interpreters()
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / CONFIGURATION
        self._around = Surroundings(
            secret=(str(state_dir), str(sockets), str(config)), service=(str(PACKAGE.parent), *_own_prefixes())
        )

    async def of(
        self,
        user: str,
        spec: Spec,
        argv: list[str],
        env: dict[str, str],
        own: tuple[Path, Path, Path],
        *,
        other_user: bool = False,
    ) -> Sandbox | None:
        """The sandbox for a kernel of `user`, None for none. `own`: its working directory, its sockets' directory and
        its connection file, all of which are there. `other_user`: it runs as another user of the system than we do."""
        profile = profile_of(self._settings, user)
        if profile == "none":
            return None
        layers = await asyncio.to_thread(probe)
        level = layers.level
        if level is None:
            log.warning("no_sandbox layers=%s", layers)
            return None
        programs = await self._interpreters.places(argv, env)
        workdir, sockets, connection_file = map(str, own)
        mine = Own(
            workdir=workdir,
            sockets=sockets,
            connection_file=connection_file,
            programs=(*programs, str(LAUNCHER), spec.resource_dir),
            other_user=other_user,
        )
        return await asyncio.to_thread(plan, level, profile, self._settings, self._around, mine)


def profile_of(settings: SandboxSettings, user: str) -> Profile:
    return settings.users.get(user, settings.profile)


def describe(settings: SandboxSettings) -> str:
    """As `summary`, after a look at this machine if that matters. Blocks as `probe` does."""
    return summary(settings, probe() if is_wanted(settings) else Layers(()))


def is_wanted(settings: SandboxSettings) -> bool:
    """Whether any kernel is to be in one."""
    return any(profile != "none" for profile in (settings.profile, *settings.users.values()))


def are_separate(settings: SandboxSettings) -> bool:
    """Whether users are kept apart: every one has a sandbox, at whatever level. Blocks as `probe` does."""
    return "none" not in (settings.profile, *settings.users.values()) and probe().level is not None


def count_processes(settings: SandboxSettings) -> bool:
    """Whether every kernel has a user namespace of its own, where its processes are counted. Blocks as `probe` does."""
    return are_separate(settings) and probe().level == "namespaces"


def summary(settings: SandboxSettings, layers: Layers) -> str:
    """The profile in force, in the words of the start line and of /readyz."""
    others = f", of some users another ({', '.join(sorted(settings.users))})" if settings.users else ""
    if not is_wanted(settings):
        return "none"
    if layers.level is None:
        return f"none possible on this machine: {layers}"
    return f"{settings.profile}{others}; {layers}"


def _own_prefixes() -> tuple[str, ...]:
    return (sys.prefix, sys.base_prefix)
