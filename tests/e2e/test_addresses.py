"""Where `serve` listens, which directory it takes, and how it refuses: one sentence, no trace."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Starter
from tests.e2e.service import kernelwire


def _refused(done: "subprocess.CompletedProcess[str]", *words: str) -> str:
    """The one sentence on standard error."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("kernelwire: ")
    for word in words:
        assert word in lines[0]
    return lines[0]


@pytest.mark.parametrize("address", ["0.0.0.0", "93.184.216.34"])  # noqa: S104  which must not come to pass
def test_other_addresses_than_loopback(tmp_path: Path, address: str) -> None:
    done = kernelwire("serve", "--host", address, "--port", "0", "--state-dir", str(tmp_path / "s"), home=tmp_path)
    _refused(done, address, "127.0.0.1")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("address", ["example.org"])
def test_what_is_no_address(tmp_path: Path, address: str) -> None:
    done = kernelwire("serve", "--host", address, "--port", "0", "--state-dir", str(tmp_path / "s"), home=tmp_path)
    _refused(done, "IP address")


def test_ipv6_loopback(start: Starter) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    service = start(arguments=["--host", "::1"])
    assert service.url.startswith("http://[::1]:")
    text = service.output.wait_for('"evaluate"', 10)
    line = next(line for line in text.splitlines() if "token=" in line)
    done = subprocess.run(
        ["bash", "-c", f'{line}\necho "$token"'], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith("kw_")
    service.private.add(done.stdout.strip())
    service.stop()


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = kernelwire("serve", "--port", port, "--state-dir", str(tmp_path / "s"), home=tmp_path)
    _refused(done, port, "--port")


def test_a_second_serve_on_one_directory(start: Starter) -> None:
    service = start()
    done = kernelwire("serve", "--port", "0", "--state-dir", str(service.state_dir), home=service.state_dir.parent)
    _refused(done, str(service.state_dir), "--state-dir")
    service.stop()  # and it does the first one no harm


def test_wrong_usage(tmp_path: Path) -> None:
    done = kernelwire("serve", "--prot", "1", home=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: kernelwire")
    assert "Traceback" not in done.stderr


def test_a_directory_that_others_can_write(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o770)
    done = kernelwire("serve", "--port", "0", "--state-dir", str(directory), home=tmp_path / "home")
    sentence = _refused(done, f"chmod 700 {directory}")
    assert "mode 0770" in sentence
    assert not list(directory.iterdir())


def test_the_mending_command_works_as_it_stands(tmp_path: Path) -> None:
    directory = tmp_path / "two words"
    directory.mkdir()
    directory.chmod(0o750)
    listing = ("user", "list", "--state-dir", str(directory))
    sentence = _refused(kernelwire(*listing, home=tmp_path / "home"))
    command = sentence.partition("`")[2].partition("`")[0]
    subprocess.run(["bash", "-c", command], check=True, timeout=10)
    assert kernelwire(*listing, home=tmp_path / "home").returncode == 0


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = kernelwire("serve", "--port", "0", "--state-dir", str(file), home=tmp_path / "home")
    _refused(done, str(file), "not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    done = kernelwire("serve", "--port", "0", "--state-dir", str(tmp_path / "closed/s"), home=tmp_path / "home")
    _refused(done, "closed")


def test_spaces_and_umlauts_in_the_path(start: Starter, tmp_path: Path) -> None:
    service = start(tmp_path / "Zustand für 'alle' $HOME %20 \"ä\"")
    text = service.output.wait_for('"evaluate"', 10)
    lines = "\n".join(line for line in text.splitlines() if "curl" in line)
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=60, check=True)
    assert '"text":"42"' in done.stdout
    service.stop()


def test_a_long_path(start: Starter, tmp_path: Path) -> None:
    service = start(tmp_path.joinpath(*["d" * 180] * 2))  # a socket's path has 107 bytes at most
    text = service.output.wait_for('"evaluate"', 10)
    lines = "\n".join(line for line in text.splitlines() if "curl" in line)
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=60, check=True)
    assert '"text":"42"' in done.stdout
    service.stop()


def test_a_path_too_long_for_sqlite(tmp_path: Path) -> None:
    directory = tmp_path.joinpath(*["d" * 200] * 4)
    done = kernelwire("serve", "--port", "0", "--state-dir", str(directory), home=tmp_path / "home")
    _refused(done, "too long")


@pytest.mark.parametrize("name", ["KERNELWIRE_BRIDGE__NO_SUCH", "KERNELWIRE_AUTH__NO_SUCH"])
def test_bad_settings(tmp_path: Path, name: str) -> None:
    state = ("--state-dir", str(tmp_path / "s"))
    done = kernelwire("serve", "--port", "0", *state, home=tmp_path, extra={name: "1"})
    _refused(done, "no_such")
