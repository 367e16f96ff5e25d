"""Settings of all parts and where each comes from: flag > environment > project file > user file > default.

In the environment `KERNELWIRE_<PART>__<SETTING>=value` sets one, for instance KERNELWIRE_BRIDGE__QUEUE_CELLS=10. The
project file is the one that `--config` or KERNELWIRE_CONFIG names. It is never looked for in the working directory:
a folder that somebody else made must not be able to say where passwords are kept. The user file is
`$XDG_CONFIG_HOME/kernelwire/config.toml`. An unknown setting or a bad value anywhere stops the start.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from auth.audit import AuditSettings
from auth.settings import AuthSettings
from kernel_bridge.settings import BridgeSettings
from kernelwire import settings_file
from kernelwire.errors import BadSetting
from kernelwire.known_settings import Known, build, known_settings, unknown
from kernelwire.logs import LogSettings
from kernelwire.tracing import OtelSettings
from rpc.settings import RpcSettings

__all__ = ["BadSetting", "Resolved", "ServeSettings", "Settings", "known", "resolve", "user_file"]

PREFIX = "KERNELWIRE_"
STATE_DIR = "state_dir"
CONFIG = "KERNELWIRE_CONFIG"
URL = "KERNELWIRE_URL"
TOKEN = "KERNELWIRE_TOKEN"  # noqa: S105  a variable's name
_NOT_SETTINGS = {CONFIG, URL, TOKEN}
Silence = Annotated[float, Meta(ge=1)]
_ABSOLUTE = "an absolute path, or one that begins with ~"


class ServeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where `serve` listens, and what it keeps running."""

    host: str = "127.0.0.1"
    """a loopback address; any address with TLS or behind a proxy, 0.0.0.0 or :: for all of them"""
    port: Annotated[int, Meta(ge=0, le=65535, description="a port from 0 to 65535")] = 8787
    """0: any free one"""
    tls_cert: str = ""
    """file of the certificate and its chain (PEM), an absolute path; with `tls_key` the service speaks TLS only"""
    tls_key: str = ""
    """file of its key (PEM), which nobody else may read"""
    user: str = ""
    """where root starts it: the user that the service runs as, a name or a number, or root; by default 1900000000, a
    number without an account, if such a user can run what is installed and reach the state directory, else root"""
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    """fronts that share the port; each takes a core at most"""
    host_silence_s: Silence = 30.0
    """a host that answers no question for so long is ended and replaced; its kernels live on"""
    front_silence_s: Silence = 15.0
    """a front that answers no question for so long is ended and replaced"""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One struct a part; each is described where it is defined."""

    state_dir: str = ""
    """where everything is kept; resolved, it is absolute, and by default `kernelwire` where users' state goes"""
    serve: ServeSettings = ServeSettings()
    audit: AuditSettings = AuditSettings()
    auth: AuthSettings = AuthSettings()
    bridge: BridgeSettings = BridgeSettings()
    log: LogSettings = LogSettings()
    otel: OtelSettings = OtelSettings()
    rpc: RpcSettings = RpcSettings()


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings in force. `origins` says by key where those come from that are no defaults."""

    settings: Settings
    origins: Mapping[str, str]

    @property
    def state_dir(self) -> Path:
        """Absolute."""
        return Path(self.settings.state_dir)


@dataclass(frozen=True, slots=True)
class _Given:
    value: Any
    origin: str


def known() -> dict[str, Known]:
    """Every setting that there is, by dotted key, in the order of the structs."""
    return known_settings(Settings)


def resolve(
    flags: Mapping[str, str | None] | None = None,
    config: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Resolved:
    """The settings in force. `flags`: by dotted key, None where the flag was not given; `config`: the project file.

    Raises BadSetting, OSError (a file that cannot be read; that the user file is missing is no error).
    """
    environment = os.environ if environment is None else environment
    given: dict[str, _Given] = {}
    for path, needed in ((user_file(environment), False), (_project_file(config, environment), True)):
        if path is not None and (needed or path.exists()):
            given |= _from_file(path)
    given |= _from_environment(environment)
    given |= _from_flags(flags or {})
    place = given.get(STATE_DIR)
    values = {key: one.value for key, one in given.items()}
    values[STATE_DIR] = str(Path(place.value).expanduser().absolute() if place else _default_state_dir(environment))
    return Resolved(build(Settings, values), {key: one.origin for key, one in given.items()})


def user_file(environment: Mapping[str, str]) -> Path:
    """Where the user's own settings are, if there are any. Source: XDG Base Directory Specification."""
    return _base(environment, "XDG_CONFIG_HOME", ".config") / "kernelwire" / "config.toml"


def _project_file(config: str | None, environment: Mapping[str, str]) -> Path | None:
    name = config or environment.get(CONFIG)
    return Path(name).expanduser().absolute() if name else None


def _from_file(path: Path) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for key, value, origin in settings_file.read(path, known()):
        converted = _known(key, origin).convert(value, origin, from_text=False)
        if key == STATE_DIR and not Path(converted).expanduser().is_absolute():
            raise BadSetting(f"{origin}: {key}: expected {_ABSOLUTE}, got {value!r}")
        given[key] = _Given(converted, origin)
    return given


def _from_environment(environment: Mapping[str, str]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        origin = f"environment: {name}"
        key = name.removeprefix(PREFIX).lower().replace("__", ".")
        if key == STATE_DIR and not value:
            continue
        given[key] = _Given(_known(key, origin, _variable).convert(value, origin, from_text=True), origin)
    return given


def _from_flags(flags: Mapping[str, str | None]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for key, value in flags.items():
        if value is None or (key == STATE_DIR and not value):
            continue
        origin = f"flag: --{key.rpartition('.')[2].replace('_', '-')}"
        given[key] = _Given(_known(key, origin).convert(value, origin, from_text=True), origin)
    return given


def _known(key: str, origin: str, spell: Callable[[str], str] = str) -> Known:
    found = known().get(key)
    if found is None:
        raise unknown(key, origin, known(), spell)
    return found


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _default_state_dir(environment: Mapping[str, str]) -> Path:
    return _base(environment, "XDG_STATE_HOME", ".local/state") / "kernelwire"


def _base(environment: Mapping[str, str], name: str, otherwise: str) -> Path:
    """The directory that a variable of the XDG Base Directory Specification names; a relative path is ignored."""
    named = environment.get(name)
    return Path(named) if named and Path(named).is_absolute() else Path.home() / otherwise


def encode(settings: Settings) -> bytes:
    """Settings for a child."""
    return msgspec.json.encode(settings)


def decode(data: bytes) -> Settings:
    """What `encode` made. Raises BadSetting."""
    try:
        return msgspec.json.decode(data, type=Settings)
    except msgspec.MsgspecError as error:
        raise BadSetting(f"settings of the supervisor: {error}") from None
