"""Generated files are up to date and complete: nothing that users meet is left out."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from docs.generator import cli, settings
from docs.generator.files import ROOT, files
from docs.generator.markdown import anchor
from kernel_bridge import router
from kernel_bridge.event_contents import EVENT_TYPES, Event
from kernelwire.settings import known
from rpc import error_docs, meanings
from rpc.errors import TABLE
from rpc.methods import REGISTRY
from rpc.schemas import is_params, structs_in

FILES = files()


def _page(name: str) -> str:
    return FILES[f"docs/reference/{name}.md"]


@pytest.mark.parametrize("path", FILES)
def test_no_file_is_stale(path: str) -> None:
    place = ROOT / path
    assert place.exists(), "run `make docs`"
    assert place.read_text() == FILES[path], "run `make docs`"


@pytest.mark.parametrize("method", REGISTRY)
def test_methods(method: str) -> None:
    entry = REGISTRY[method]
    section = _page("methods").partition(f"\n## {method}\n")[2].partition("\n## ")[0]
    assert entry.doc.split(". ")[0].split("\n")[0][:40] in section
    for field in structs.fields(entry.params):
        assert f"| `{field.encode_name}` |" in section


def test_every_member_has_a_meaning() -> None:
    """A string below the member in its struct, or a line in rpc.meanings where many structs share it."""
    kinds: list[Any] = [kind for entry in REGISTRY.values() for kind in (entry.params, entry.result)]
    kinds += [Event, *(kind for event in EVENT_TYPES.values() for kind in event.contents)]
    missing = [
        f"{struct.__name__}.{field.name}"
        for struct in structs_in(dict.fromkeys(kinds))
        for field in structs.fields(struct)
        if not (meanings.of_params if is_params(struct) else meanings.of_result)(struct, field.name)
    ]
    assert missing == []


def _written_types() -> set[str]:
    """The types of all events that the code of the bridge writes."""
    found = {*router.OF_CELLS, *router.OUTPUT}
    for path in (ROOT / "kernel_bridge").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) == "from_service":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}: the type of an event is a literal"
                found.add(str(node.args[0].value))
    return found


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _written_kinds() -> set[str]:
    """The kinds of all notices that the code of the bridge writes."""
    found: set[str] = set()
    for path in (ROOT / "kernel_bridge").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) == "Notice":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}: the kind of a notice is a literal"
                found.add(str(node.args[0].value))
    return found


def test_notices() -> None:
    section = _page("events").partition("\n## notice\n")[2].partition("\n## ")[0]
    kinds = _written_kinds()
    assert "kernel_stopped" in kinds
    assert [kind for kind in kinds if f"`{kind}`" not in section] == []


def test_events() -> None:
    assert set(EVENT_TYPES) == _written_types()
    page = _page("events")
    for name, event in EVENT_TYPES.items():
        assert f"\n## {name}\n" in page
        assert event.contents
        assert all(kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(") for kind in event.contents)


def test_errors() -> None:
    page = _page("errors")
    assert {entry.code for entry in TABLE.values()} <= {doc.code for doc in error_docs.documented()}
    for doc in error_docs.documented():
        assert f"\n## {doc.name}\n\n**{doc.code}**" in page
        assert doc.when, f"rpc.errors.TABLE: {doc.name} has no `when`"
        facts = doc.data.__struct_fields__ if doc.data is not None else ()
        assert [fact for fact in facts if fact not in meanings.OF_ERRORS] == []


def test_settings() -> None:
    page = _page("settings")
    for title, struct in settings.tables():
        assert f"\n## {title}\n" in page
        for field in structs.fields(struct):
            if not settings.is_part(field.type):
                assert meanings.own(struct).get(field.name), f"{struct.__name__}.{field.name} has no string below it"
    for key in known():
        assert f"`KERNELWIRE_{key.upper().replace('.', '__')}`" in page


def test_commands() -> None:
    page = _page("cli")
    for name, parser in cli.commands():
        assert f"\n## {name}\n" in page
        assert parser.description, name
        for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
            assert action.help or action.choices, f"{name}: {action.dest} has no help"
            assert all(f"{option}" in page for option in action.option_strings if option not in ("-h", "--help"))


def test_links_lead_somewhere() -> None:
    """Every link between the generated pages has a heading to go to."""
    headings = {
        Path(path).name: {anchor(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
        for path, text in FILES.items()
        if path.endswith(".md")
    }
    for path, text in FILES.items():
        for page, target in re.findall(r"\]\(([a-z]*\.?m?d?)#([^)]+)\)", text):
            assert target in headings[page or Path(path).name], f"{path}: {page}#{target}"
