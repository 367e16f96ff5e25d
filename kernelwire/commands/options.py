"""What several commands share: their types, the options of where settings and state are, the settings in force."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernelwire.settings import Resolved

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]
else:
    Subparsers = object
Run = Callable[[argparse.Namespace], int]


def shared() -> argparse.ArgumentParser:
    """Options of every command that reads settings, to be named in `parents`."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--state-dir", metavar="DIR", help="where everything is kept (also: KERNELWIRE_STATE_DIR)")
    options.add_argument("--config", metavar="FILE", help="a file of settings (also: KERNELWIRE_CONFIG)")
    return options


def resolved(given: argparse.Namespace, **flags: str | None) -> Resolved:
    """The settings in force for a command with the shared options. `flags`: its own, `serve__port` for `serve.port`.

    Raises BadSetting, OSError.
    """
    from kernelwire import settings

    own = {name.replace("__", "."): value for name, value in flags.items()}
    return settings.resolve({settings.STATE_DIR: given.state_dir, **own}, given.config)


def become_owner(state_dir: Path) -> int:
    """Where root works on another user's state directory: become that user for good, so that all that is made there is
    the owner's, and nothing that lies there is read as root. Returns who this was before.

    Raises Failed, OSError.
    """
    from kernelwire import credentials, service_user

    before = os.getuid()
    owner = service_user.owner_at_work(state_dir)
    if owner is not None:
        credentials.become(owner)
    return before


def say(line: str) -> None:
    """One line of a command's result, on standard output."""
    print(line, flush=True)  # noqa: T201  this is the program's output
