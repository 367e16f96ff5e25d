"""Settings of all parts, from defaults and the environment.

`KERNELWIRE_<PART>__<SETTING>=value` sets one, for instance KERNELWIRE_BRIDGE__QUEUE_CELLS=10. An unknown one or a bad
value stops the start.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from auth.settings import AuthSettings
from kernel_bridge.settings import BridgeSettings
from rpc.settings import RpcSettings

PREFIX = "KERNELWIRE_"
STATE_DIR = "KERNELWIRE_STATE_DIR"
_NOT_SETTINGS = {STATE_DIR}


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One struct a part; each is described where it is defined."""

    auth: AuthSettings = AuthSettings()
    bridge: BridgeSettings = BridgeSettings()
    rpc: RpcSettings = RpcSettings()


class BadSetting(Exception):
    """`str(error)` says which setting, where it came from and what is expected."""


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Raises BadSetting."""
    parts: dict[str, dict[str, str]] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        part, _, setting = name.removeprefix(PREFIX).lower().partition("__")
        if not setting:
            raise BadSetting(f"environment: {name}: expected {PREFIX}<PART>__<SETTING>, or {STATE_DIR}")
        parts.setdefault(part, {})[setting] = value
    try:
        return msgspec.convert(parts, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadSetting(f"environment: {PREFIX}*: {error}") from None


def state_dir(given: str | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The state directory, absolute: the flag, else KERNELWIRE_STATE_DIR, else `kernelwire` where users' state goes.

    Source: XDG Base Directory Specification, `XDG_STATE_HOME`.
    """
    chosen = given or environment.get(STATE_DIR)
    if chosen:
        return Path(chosen).expanduser().absolute()
    home = environment.get("XDG_STATE_HOME")
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".local" / "state"
    return base / "kernelwire"
