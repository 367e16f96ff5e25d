"""`kernelwire user`: what it does and the one sentence with which it refuses."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelwire.cli import main

PASSWORD = "correct horse ä"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `kernelwire user ...` on an own state directory: exit code, standard output, standard error."""

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main(["user", *arguments, "--state-dir", str(tmp_path / "state")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_add_and_list(run: Run) -> None:
    code, said, errors = run("add", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert (code, errors) == (0, "")
    assert "ada" in said
    assert PASSWORD not in said
    code, said, errors = run("list")
    assert (code, errors) == (0, "")
    assert [line.split("\t")[0] for line in said.splitlines()] == ["ada", "admin"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        ("add Admin --password-stdin", PASSWORD, "there is a user 'Admin' already"),
        ("add bob --password-stdin", "short\n", "8 to 1024 characters"),
        ("passwd admin --password-stdin", "short\n", "8 to 1024 characters"),
        ("passwd eve --password-stdin", PASSWORD, "there is no user 'eve'"),
        ("add a/b --password-stdin", PASSWORD, "expected 1 to 64 letters"),
        ("add bob --password-stdin", "", "got nothing"),
        ("add bob", PASSWORD, "--password-stdin"),
    ],
)
def test_refusals(run: Run, arguments: str, stdin: str, words: str) -> None:
    code, said, errors = run(*arguments.split(), stdin=stdin)
    assert (code, said) == (1, "")
    assert errors.startswith("kernelwire: ")
    assert len(errors.splitlines()) == 1
    assert words in errors
    assert PASSWORD not in errors


def test_the_password_of_a_removed_admin_does_not_come_back(run: Run, tmp_path: Path) -> None:
    run("list")  # makes admin
    file = tmp_path / "state" / "admin-password"
    old = file.read_text()
    code, said, errors = run("remove", "admin")
    assert (code, errors) == (0, "")
    assert "no user is left" in said
    assert not file.exists()
    run("list")
    assert file.read_text() != old


def test_with_another_user_no_new_admin_is_made(run: Run) -> None:
    run("add", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert "no user is left" not in run("remove", "admin")[1]
    assert [line.split("\t")[0] for line in run("list")[1].splitlines()] == ["ada"]
