"""Which kernels there are, and what is run for them."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from kernel_bridge import kernelspecs
from kernel_bridge.errors import KernelspecNotFound
from kernel_bridge.kernelspecs import LAUNCHER, Kernelspecs, Spec, argv_for, environment

FILE = ["-f", "{connection_file}"]
L = "/lib/launcher.py"


def spec(argv: list[str], language: str = "python", metadata: Any = None, env: dict[str, str] | None = None) -> Spec:
    return Spec("k", "K", language, argv, env or {}, "signal", metadata or {}, "/specs/k")


def install(folder: Path, name: str, **members: Any) -> None:
    (folder / name).mkdir(parents=True)
    members = {"argv": ["python", "-m", "ipykernel_launcher", *FILE], "language": "python", **members}
    (folder / name / "kernel.json").write_text(json.dumps(members))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kernels"


@pytest.fixture
def specs(folder: Path) -> Kernelspecs:
    return Kernelspecs([folder])


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/x/python", "-m", "ipykernel_launcher", *FILE], ["/x/python", L, "ipykernel_launcher", "-f", "/c.json"]),
        (["/x/python3.12", "-m", "ipykernel", *FILE], ["/x/python3.12", L, "ipykernel", "-f", "/c.json"]),
        (
            ["/x/python", "-Xfrozen_modules=off", "-m", "ipykernel_launcher", *FILE],
            ["/x/python", "-Xfrozen_modules=off", L, "ipykernel_launcher", "-f", "/c.json"],
        ),
        (
            ["/x/python", "-X", "frozen_modules=off", "-W", "error", "-s", "-m", "ipykernel", *FILE],
            ["/x/python", "-X", "frozen_modules=off", "-W", "error", "-s", L, "ipykernel", "-f", "/c.json"],
        ),
        (
            ["/opt/sage", "--python", "-m", "sage.repl.ipython_kernel", *FILE],
            ["/opt/sage", "--python", L, "sage.repl.ipython_kernel", "-f", "/c.json"],
        ),
        (
            ["/opt/sage", "--python", "-Xfrozen_modules=off", "-m", "sage.repl.ipython_kernel", *FILE],
            ["/opt/sage", "--python", "-Xfrozen_modules=off", L, "sage.repl.ipython_kernel", "-f", "/c.json"],
        ),
        (
            ["/x/python3", "-m", "sage.repl.ipython_kernel", *FILE],
            ["/x/python3", L, "sage.repl.ipython_kernel", "-f", "/c.json"],
        ),
    ],
)
def test_our_launcher_starts_what_is_built_on_ipykernel(argv: list[str], expected: list[str]) -> None:
    assert spec(argv).launcher
    assert argv_for(spec(argv), "/c.json", L) == expected


@pytest.mark.parametrize(
    ("argv", "language"),
    [
        (["/x/xpython", *FILE], "python"),
        (["/x/python", "-m", "xpython_launcher", *FILE], "python"),
        (["/x/python", "-m", "bash_kernel", *FILE], "bash"),
        (["/x/python", "-c", "import x", "-m", "ipykernel_launcher"], "python"),
        (["/x/python", "kernel.py", "-m", "ipykernel_launcher"], "python"),
        (["/x/python", "-m"], "python"),
        (["/x/python", "-X"], "python"),
        (["/x/python"], "python"),
        (["/opt/sage", "-m", "ipykernel_launcher"], "python"),
        (["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"], "R"),
    ],
)
def test_other_kernels_are_started_as_they_say(argv: list[str], language: str) -> None:
    made = spec(argv, language)
    assert not made.launcher
    assert argv_for(made, "/c.json", L) == [word.replace("{connection_file}", "/c.json") for word in argv]


@pytest.mark.parametrize(
    ("language", "metadata", "subshells"),
    [
        ("python", {}, True),
        ("bash", {}, False),
        ("bash", {"kernelwire": {"subshells": True}}, True),
        ("python", {"kernelwire": {"subshells": False}}, False),
        ("python", {"kernelwire": {"launcher": False}}, False),
    ],
)
def test_whose_subshells_are_relied_on(language: str, metadata: Any, subshells: bool) -> None:
    assert spec(["python", "-m", "some_kernel", *FILE], language, metadata).subshells is subshells


async def test_members_that_nobody_knows_are_left_out(specs: Kernelspecs, folder: Path) -> None:
    install(folder, "odd", codemirror_mode="shell")
    assert (await specs.get("odd")).name == "odd"


@pytest.mark.parametrize(
    ("language", "says", "launcher"), [("python", False, False), ("bash", True, True), ("bash", 1, False)]
)
def test_metadata_has_the_last_word(language: str, says: object, launcher: bool) -> None:
    made = spec(["python", "-m", "some_kernel", *FILE], language, {"kernelwire": {"launcher": says}})
    assert made.launcher is launcher


@pytest.mark.parametrize(
    "program", ["python", "python3", f"python3.{sys.version_info[1]}", "python2", "/x/python", "R"]
)
def test_placeholders_and_interpreter_are_as_in_jupyter_client(program: str, folder: Path) -> None:
    argv = [program, "{resource_dir}/run", "{prefix}", "{unknown}", "{}", "--f={connection_file}"]
    install(folder, "k", argv=argv, language="other")
    specs = KernelSpecManager(kernel_dirs=[str(folder)])
    manager = KernelManager(kernel_name="k", kernel_spec_manager=specs, connection_file="/c/x.json")
    made = Spec("k", "", "other", argv, {}, "signal", {}, str(folder / "k"))
    assert argv_for(made, "/c/x.json", L) == manager.format_kernel_cmd()


def test_the_environment_is_what_is_listed_and_the_kernelspecs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    passed = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "HOME": "/h",
        "SAGE_ROOT": "/s",
        "MPLBACKEND": "agg",
        "XDG_DATA_HOME": "/d",
    }
    kept = {
        "AWS_SECRET_ACCESS_KEY": "a",
        "XDG_RUNTIME_DIR": "/r",
        "KERNELWIRE_STATE_DIR": "/k",
        "MY_TOKEN": "t",
        "PYTHONEXECUTABLE": "p",
    }
    for name, value in (passed | kept).items():
        monkeypatch.setenv(name, value)
    own = {
        "PATH": "/own:${PATH}",
        "TOKEN": "$MY_TOKEN",
        "STATE": "${KERNELWIRE_STATE_DIR}",
        "NONE": "${NONE}$",
        "KERNELWIRE_X": "1",
        "PYTHONEXECUTABLE": "q",
    }
    assert environment(spec(["x"], env=own)) == passed | {
        "PATH": "/own:/bin",
        "TOKEN": "t",
        "STATE": "${KERNELWIRE_STATE_DIR}",
        "NONE": "${NONE}$",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    assert environment(spec(["x"], "R")) == passed
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "0"}
    assert environment(spec(["x"], env=quiet)) == passed | quiet, "the kernelspec has the last word"


async def test_the_list_is_sorted_and_says_what_is_lossless(specs: Kernelspecs, folder: Path) -> None:
    install(folder, "python3", display_name="Python 3")
    install(folder, "Bash", argv=["python", "-m", "bash_kernel"], language="bash", interrupt_mode="message")
    assert await specs.names() == ["bash", "python3"]
    assert [(k.name, k.display_name, k.lossless, k.default, k.preloaded) for k in (await specs.list()).kernels] == [
        ("bash", "bash", False, False, False),
        ("python3", "Python 3", True, True, False),
    ]
    bash = await specs.get("BASH")
    assert (bash.name, bash.interrupt_mode, bash.resource_dir) == ("bash", "message", str(folder / "Bash"))


async def test_what_is_broken_is_left_out_and_logged_once(
    specs: Kernelspecs, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernelspecs, "CACHE_S", 0.0)
    install(folder, "good")
    install(folder, "argless", argv=[])
    install(folder, "numbers", argv=[1, 2])
    install(folder, "strange-env", env={"A": 1})
    install(folder, "elsewhere", metadata={"kernel_provisioner": {"provisioner_name": "kubernetes"}})
    install(folder, "provisioner", metadata={"kernel_provisioner": "local"})
    (folder / "empty").mkdir()
    for name, text in (("torn", '{"argv": ["py'), ("list", "[]"), ("latin", '{"display_name": "\udcff"}')):
        (folder / name).mkdir()
        (folder / name / "kernel.json").write_text(text, errors="surrogateescape")
    (folder / "unreadable" / "kernel.json").mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "kernelwire"):
        assert await specs.names() == ["good"]
        assert await specs.names() == ["good"]
    logged = sorted(record.getMessage().split()[1] for record in caplog.records if record.name.startswith("kernelwire"))
    broken = ["argless", "elsewhere", "latin", "list", "numbers", "provisioner", "strange-env", "torn"]
    assert logged == [f"name={name}" for name in broken]


@pytest.mark.parametrize("name", ["../x", "python3/../python3", "", "a b", "python3\0", "PYTHON3\n", "x" * 5000])
async def test_what_is_no_name_reaches_no_file(name: str, specs: Kernelspecs, folder: Path) -> None:
    install(folder, "python3")
    install(folder.parent, "x")
    with pytest.raises(KernelspecNotFound) as caught:
        await specs.get(name)
    assert caught.value.available == ["python3"]


@pytest.mark.parametrize(
    ("installed", "default"),
    [
        ([("python3", "python"), ("a", "python")], "python3"),
        ([("b", "bash"), ("sage", "Python"), ("z", "python")], "sage"),
        ([("julia", "julia"), ("bash", "bash")], "bash"),
    ],
)
async def test_the_default(installed: list[tuple[str, str]], default: str, specs: Kernelspecs, folder: Path) -> None:
    for name, language in installed:
        install(folder, name, language=language)
    assert await specs.default() == default
    assert [kernel.name for kernel in (await specs.list()).kernels if kernel.default] == [default]


async def test_without_any_kernel_there_is_no_default(specs: Kernelspecs) -> None:
    assert (await specs.list()).kernels == []
    with pytest.raises(KernelspecNotFound, match="none"):
        await specs.default()


async def test_the_disk_is_read_again_only_after_a_while(
    specs: Kernelspecs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(kernelspecs.time, "monotonic", lambda: now[0])
    install(folder, "one")
    assert await specs.names() == ["one"]
    install(folder, "two")
    now[0] += kernelspecs.CACHE_S - 0.1
    assert await specs.names() == ["one"]
    now[0] += 0.2
    assert await specs.names() == ["one", "two"]


async def test_the_kernel_of_this_environment_is_found() -> None:
    made = await Kernelspecs().get("python3")
    assert made.launcher
    assert argv_for(made, "/c.json", str(LAUNCHER))[-4:] == [str(LAUNCHER), "ipykernel_launcher", "-f", "/c.json"]
    assert LAUNCHER.name == "launcher.py"
