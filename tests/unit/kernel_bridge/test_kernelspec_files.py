"""Kernelspecs are found and read as jupyter_client does it, which is the oracle here."""

import json
from pathlib import Path
from typing import Any

import pytest
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpecManager

from kernel_bridge import kernelspec_files

MEMBERS = ("argv", "display_name", "language", "env", "interrupt_mode", "metadata")


def install(folder: Path, name: str, text: str | None = None, **members: Any) -> None:
    (folder / name).mkdir(parents=True)
    said = {"argv": ["python", "-m", "x"], "display_name": f"in {folder.parent.name}", "language": "x", **members}
    (folder / name / "kernel.json").write_text(json.dumps(said) if text is None else text)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_PATH", "IPYTHONDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def oracle(home: Path) -> dict[str, str]:
    """Those of this test, and of this environment."""
    return {name: path for name, path in KernelSpecManager().find_kernel_specs().items() if _counts(path, home)}


def ours(home: Path) -> dict[str, str]:
    found = kernelspec_files.find(kernelspec_files.folders())
    return {name: str(path) for name, path in found.items() if _counts(str(path), home)}


def _counts(path: str, home: Path) -> bool:
    return path.startswith(str(home)) or path.endswith(("python3", "resources"))


def test_the_folders_and_which_goes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", f"{home / 'one'}:{home / 'two'}")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "data"))
    for place in ("one", "two", "data", ".ipython"):
        install(home / place / "kernels", "Shared")
        install(home / place / "kernels", f"only-{place.strip('.')}")
    (home / "one" / "kernels" / "empty").mkdir()
    (home / "one" / "kernels" / "file").write_text("")
    (home / "one" / "kernels" / "folder" / "kernel.json").mkdir(parents=True)
    found = ours(home)
    assert found == oracle(home)
    assert set(found) == {"shared", "only-one", "only-two", "only-data", "only-ipython", "python3"}
    assert found["shared"] == str(home / "one" / "kernels" / "Shared")


@pytest.mark.parametrize("variable", [True, False])
def test_the_folder_of_ipython(home: Path, variable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    install(home / ".config" / "ipython" / "kernels", "old")
    install(home / "named" / "kernels", "named")
    if variable:
        monkeypatch.setenv("IPYTHONDIR", "~/named")
    assert ours(home) == oracle(home)
    assert ("named" if variable else "old") in ours(home)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"env": {"A": "b"}, "metadata": {"debugger": True}, "interrupt_mode": "message"},
        {"interrupt_mode": "Message"},
        {"display_name": "Ünïcode", "kernel_protocol_version": "5.5", "mimetype": "x/y"},
        {"metadata": {"n": float("nan")}},
    ],
)
def test_what_is_in_the_file(tmp_path: Path, members: dict[str, Any]) -> None:
    install(tmp_path, "k", **members)
    made = kernelspec_files.read("k", tmp_path / "k")
    theirs = KernelSpecManager(kernel_dirs=[str(tmp_path)]).get_kernel_spec("k")
    assert repr([getattr(made, name) for name in MEMBERS]) == repr([getattr(theirs, name) for name in MEMBERS])
    assert (made.name, made.resource_dir) == ("k", theirs.resource_dir)


@pytest.mark.parametrize("text", ["", "[]", "1", '{"argv": 1}', '{"env": []}', '{"interrupt_mode": "no"}', "[" * 99999])
def test_what_is_no_kernelspec(tmp_path: Path, text: str) -> None:
    install(tmp_path, "k", text)
    with pytest.raises((ValueError, RecursionError)):
        kernelspec_files.read("k", tmp_path / "k")


def test_ipykernel_without_a_kernelspec_of_its_own_is_found() -> None:
    theirs = KernelSpecManager(kernel_dirs=[])
    found = kernelspec_files.find([])
    assert {name: str(path) for name, path in found.items()} == theirs.find_kernel_specs()
    made = kernelspec_files.read("python3", found["python3"])
    said = get_kernel_dict()
    said.pop("kernel_protocol_version")
    assert {name: getattr(made, name) for name in said} == said
    assert kernelspec_files.find([], native=False) == {}
