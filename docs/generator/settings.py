"""docs/reference/settings.md."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec import structs as msgspec_structs

from docs.generator import types
from docs.generator.markdown import code, contents, join, table
from kernelwire.settings import PREFIX, Settings
from rpc import meanings

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
_HEAD = """
A flag beats the environment, that beats the project file, that beats the user file, that beats the default. The
project file is what `--config` or `KERNELWIRE_CONFIG` names, the user file is `~/.config/kernelwire/config.toml`; both
are TOML, with one table a part. No file of the working directory is read unasked, as a folder that somebody else made
must not say where passwords are kept: a project's own file is named once, by `KERNELWIRE_CONFIG`. An unknown setting
or a bad value stops the start. `kernelwire config --show-origin` shows what is in force and why. Names that end in `_s`
are seconds, in `_bytes` bytes.

```toml
[bridge]
queue_cells = 100      # in the environment: KERNELWIRE_BRIDGE__QUEUE_CELLS=100
```
"""


def page() -> str:
    """The text of the page."""
    parts = dict(tables())
    return join(
        "# Settings",
        contents(parts),
        _HEAD.strip(),
        *(f"## {title}\n\n{_about(struct)}\n\n{_table(title, struct)}" for title, struct in parts.items()),
    )


def tables(struct: type[Struct] = Settings, name: str = "") -> Iterator[tuple[str, type[Struct]]]:
    """Every struct of settings, by its dotted name: the top level is called `general`."""
    yield name or "general", struct
    for field in msgspec_structs.fields(struct):
        if is_part(field.type):
            yield from tables(field.type, f"{name}.{field.name}" if name else field.name)


def _table(title: str, struct: type[Struct]) -> str:
    before = "" if title == "general" else title.upper().replace(".", "__") + "__"
    rows = [
        (
            code(field.name),
            types.words(field.type),
            types.default(field) + _duration(field),
            meanings.own(struct).get(field.name, ""),
            code(f"{PREFIX}{before}{field.name.upper()}"),
        )
        for field in msgspec_structs.fields(struct)
        if not is_part(field.type)
    ]
    return table(("setting", "type", "default", "what", "environment"), rows)


def _duration(field: msgspec_structs.FieldInfo) -> str:
    """Many seconds in days, hours or minutes."""
    value: Any = field.default
    if not field.name.endswith("_s") or not isinstance(value, int | float):
        return ""
    return next((f" ({value / unit:g} {name})" for unit, name in _UNITS if value >= unit and value % unit == 0), "")


def _about(struct: type[Struct]) -> str:
    if struct is Settings:
        return "These stand at the top of a file, before the first table."
    return " ".join((struct.__doc__ or "").split("\n\n")[0].split())


def is_part(kind: Any) -> bool:
    """Whether a setting's type is a struct of settings."""
    return isinstance(kind, type) and issubclass(kind, Struct)
