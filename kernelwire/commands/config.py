"""`kernelwire config`: the settings in force, as a file of settings would say them."""

import argparse
import json
from typing import Any

from kernelwire.commands.options import Subparsers, resolved, say, shared

DEFAULT = "default"
HIDDEN = "(hidden)"


def add(commands: Subparsers) -> None:
    config = commands.add_parser(
        "config",
        parents=[shared()],
        help="show the settings in force",
        description="Print every setting in force, in the form of a file of settings. A flag counts more than the "
        "environment, then the file of --config, then ~/.config/kernelwire/config.toml, then the default.",
        epilog="example: kernelwire config --show-origin",
    )
    config.add_argument("--show-origin", action="store_true", help="and where each comes from")
    config.add_argument("--json", action="store_true", help="as JSON, always with the origin")
    config.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    from kernelwire.known_settings import value_of
    from kernelwire.settings import known

    chosen = resolved(given)
    shown: dict[str, dict[str, Any]] = {}
    for key, setting in known().items():
        value = value_of(chosen.settings, key)
        if setting.secret and value is not None:
            value = HIDDEN
        shown[key] = {"value": value, "origin": chosen.origins.get(key, DEFAULT)}
    if given.json:
        say(json.dumps(shown, indent=2))
        return 0
    for key, one in shown.items():
        line = _line(key, one["value"])
        say(f"{line}  # {one['origin']}" if given.show_origin else line)
    return 0


def _line(key: str, value: Any) -> str:
    """One line of TOML; a comment if TOML cannot say it or must not."""
    if value is None or value == HIDDEN:
        return f"# {key} is {'not set' if value is None else 'hidden'}"
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
