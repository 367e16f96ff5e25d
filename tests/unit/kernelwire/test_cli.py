"""The command line: help that fits on a screen, words for wrong usage, exit codes."""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import kernelwire
from kernelwire import __main__, __version__
from kernelwire.cli import main, make_parser

SCREEN_LINES, SCREEN_COLUMNS = 24, 80


def _commands(parser: argparse.ArgumentParser, words: str = "") -> Iterator[str]:
    """Every command and action that there is, as it is typed."""
    yield words
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            choices: dict[str, argparse.ArgumentParser] = dict(action.choices)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            for name, inner in choices.items():
                yield from _commands(inner, f"{words} {name}".strip())


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own."""
    for name in os.environ:
        if name.startswith("KERNELWIRE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize("command", list(_commands(make_parser())))
def test_every_help_is_one_screen_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(SCREEN_COLUMNS))
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert len(lines) <= SCREEN_LINES
    assert max(map(len, lines)) <= SCREEN_COLUMNS
    assert f"kernelwire {command}".strip() in lines[-1]
    assert "example: " in lines[-1]
    assert "_host" not in text
    assert "_front" not in text


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", ["serve", "user"]),
        ("serve", ["--host", "--port", "--state-dir", "KERNELWIRE_STATE_DIR", "8787", "127.0.0.1"]),
        ("user", ["add", "passwd", "list"]),
        ("user add", ["NAME", "--password-stdin", "--state-dir"]),
        ("user passwd", ["NAME", "--password-stdin", "--state-dir"]),
        ("user list", ["--state-dir"]),
        ("call", ["METHOD", "KEY=VALUE", "KEY:=JSON", "KEY=@FILE", "--json", "--url", "KERNELWIRE_TOKEN"]),
        ("login", ["NAME", "--password-stdin", "--session", "--kernel", "--url"]),
        ("logout", ["--url"]),
        ("config", ["--show-origin", "--json", "--config", "KERNELWIRE_CONFIG"]),
        ("doctor", ["--json"]),
        ("host", ["--state-dir"]),
        ("completion", ["bash", "zsh", "fish"]),
    ],
)
def test_help_names(
    command: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(SCREEN_COLUMNS))
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for word in words:
        assert word in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"kernelwire {__version__}\n")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "sevre",
        "serve --prot 1",
        "serve --port 65536",
        "serve --port=-1",
        "serve --port http",
        "serve more",
        "user",
        "user add",
        "user rename x",
        "user list --password-stdin",
        "call",
        "completion",
        "completion tcsh",
        "login alice more",
        "login alice --password x",
        "config more",
    ],
)
def test_wrong_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("usage: kernelwire")
    assert "_host" not in said.err  # commands of our own are nobody's business


def test_a_wrong_port_says_what_was_expected(capsys: pytest.CaptureFixture[str]) -> None:
    for port in ("65536", "http"):
        with pytest.raises(SystemExit):
            main(["serve", "--port", port])
        assert "expected a port from 0 to 65535" in capsys.readouterr().err


def test_config_is_a_file_of_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints says the same when it is given back."""
    first = tmp_path / "first.toml"
    first.write_text("bridge.queue_cells = 7\nstate_dir = '/ä'")
    assert main(["config", "--config", str(first)]) == 0
    printed = capsys.readouterr().out
    assert tomllib.loads(printed)["bridge"]["queue_cells"] == 7

    second = tmp_path / "second.toml"
    second.write_text(printed)
    assert main(["config", "--config", str(second)]) == 0
    assert capsys.readouterr().out == printed


def test_config_says_where_each_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file.toml"
    file.write_text("[bridge]\nqueue_cells = 7\n[rpc]\ndrain_s = 2")
    monkeypatch.setenv("KERNELWIRE_RPC__DRAIN_S", "3")
    secret = "sqlite:////with/a-pass-word"
    monkeypatch.setenv("KERNELWIRE_AUTH__DATABASE_URL", secret)
    monkeypatch.setenv("KERNELWIRE_TOKEN", secret)

    assert main(["config", "--show-origin", "--config", str(file), "--state-dir", "/s"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert f"bridge.queue_cells = 7  # {file}:2" in lines
    assert "rpc.drain_s = 3.0  # environment: KERNELWIRE_RPC__DRAIN_S" in lines
    assert 'state_dir = "/s"  # flag: --state-dir' in lines
    assert "bridge.segment_bytes = 8388608  # default" in lines
    assert "# auth.database_url is hidden  # environment: KERNELWIRE_AUTH__DATABASE_URL" in lines
    assert secret not in "".join(lines)

    assert main(["config", "--json", "--config", str(file)]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["bridge.queue_cells"] == {"value": 7, "origin": f"{file}:2"}
    assert secret not in text


@pytest.mark.parametrize("command", ["serve", "host", "config", "call whoami", "login", "logout", "user list"])
def test_a_bad_setting_stops_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELWIRE_BRIDGE__QUEUE_CELLS", "many")
    assert main(command.split()) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "kernelwire: environment: KERNELWIRE_BRIDGE__QUEUE_CELLS: bridge.queue_cells: expected an integer from 1, "
        "got 'many'\n"
    )
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["call", "whoami"], 1, "start one by `kernelwire serve`"),
        (["call", "whoami", "novalue"], 2, "expected KEY=VALUE"),
        (["call", "whoami", "--url", "ftp://x"], 2, "expected http://HOST:PORT"),
        (["call", "whoami", "--config", "/no/such/file"], 1, "/no/such/file: No such file or directory"),
        (["login", "--password-stdin", "--url", "http://x?token=T"], 2, "expected http://HOST:PORT"),
        (["logout"], 1, "start one by `kernelwire serve`"),
    ],
)
def test_without_a_service(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1


def test_call_asks_for_no_params(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["call"])
    assert capsys.readouterr().err.endswith("the following arguments are required: METHOD\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "kernelwire" in capsys.readouterr().out


def test_interrupted_while_it_is_loaded_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(name: str, *_: object) -> None:
        if name == "kernelwire.cli":
            raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "kernelwire.cli")
    monkeypatch.delattr(kernelwire, "cli")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=interrupt), *sys.meta_path])
    assert __main__.main() == 130
