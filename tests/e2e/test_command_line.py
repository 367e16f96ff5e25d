"""The command line against real processes: calls, settings of children, a host that stands alone, completion."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import lone_host, processes
from tests.e2e.conftest import Starter
from tests.e2e.service import COMMAND_S, STOP_S, Service, environment, kernelwire


class Shell:
    """Somebody who types `kernelwire` commands about one state directory."""

    def __init__(self, service: Service, home: Path) -> None:
        self.service = service
        self.home = home
        self.extra = {"KERNELWIRE_STATE_DIR": str(service.state_dir)}

    def run(self, *words: str, stdin: str = "", code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = kernelwire(*words, home=self.home, stdin=stdin, extra=self.extra)
        assert done.returncode == code, done
        assert not [secret for secret in self.service.private if secret in done.stdout + done.stderr]
        return done

    def call(self, *words: str, stdin: str = "", code: int = 0) -> "subprocess.CompletedProcess[str]":
        return self.run("call", *words, stdin=stdin, code=code)

    def log_in(self) -> None:
        self.run("login", "--password-stdin", stdin=self.service.password + "\n")
        file = self.service.state_dir / "client.json"
        assert file.stat().st_mode & 0o777 == 0o600
        self.service.private.add(json.loads(file.read_text())["logins"]["here"]["token"])


def test_calls(start: Starter, tmp_path: Path) -> None:
    shell = Shell(start(), tmp_path / "shell")
    assert "kernelwire login" in shell.call("whoami", code=1).stderr
    shell.log_in()

    assert shell.call("evaluate", "code=6 * 7").stdout == "42\n"
    assert shell.call("evaluate", 'code="a"').stdout == "'a'\n"
    assert shell.call("evaluate", "code=@-", stdin="x = 5\nx + 1\n").stdout == "6\n"
    raised = shell.call("evaluate", "code=print('before'); 1/0", code=1)
    assert raised.stdout == "before\n"
    assert raised.stderr.endswith("ZeroDivisionError: division by zero\n")
    sleeping = "code=import time; time.sleep(60)"
    assert "get_cell cell=nap" in shell.call("evaluate", sleeping, "wait=0", "cell=nap").stderr
    assert shell.call("get_cell", "cell=nap").stdout == ""
    shell.call("evaluate", sleeping, "wait=0.1", "cell=nap", code=1)
    assert json.loads(shell.call("--json", "interrupt").stdout)["end"] == "interrupted"
    assert "interrupted" in shell.call("get_cell", "cell=nap", code=1).stderr

    assert "append\n" in shell.call("complete", "code=[].app").stdout
    assert "Return the number of items" in shell.call("inspect", "code=len?").stdout
    assert json.loads(shell.call("list_kernels").stdout)["kernels"]

    assert "(-32601)" in shell.call("no_such_method", code=1).stderr
    failure = json.loads(shell.call("--json", "evaluate", "code:=1", code=1).stderr)
    assert (failure["code"], failure["data"]["member"]) == (-32602, "code")
    shell.call("evaluate", "code", code=2)
    assert "(-32600)" in shell.call("whoami", "--url", f"{shell.service.url}/nowhere", code=1).stderr

    shell.run("logout")
    assert "kernelwire login" in shell.call("whoami", code=1).stderr
    assert "nobody is logged in" in shell.run("logout").stdout
    shell.service.remember()
    shell.service.stop()
    assert "no service runs" in shell.call("whoami", code=1).stderr
    assert not (shell.service.state_dir / "serve.json").exists()


def test_a_login_outlives_the_port_and_a_kill(start: Starter, tmp_path: Path) -> None:
    first = start()
    shell = Shell(first, tmp_path / "shell")
    shell.log_in()
    assert shell.call("evaluate", "code=x = 5; x").stdout == "5\n"
    front = first.one("_front")
    first.kill()
    assert front.wait(STOP_S)
    assert (first.state_dir / "serve.json").exists()
    assert "no service runs" in shell.call("whoami", code=1).stderr

    second = start(first.state_dir)
    assert shell.call("evaluate", "code=x").stdout == "5\n"
    second.stop()


def test_doctor_of_a_running_service(start: Starter, tmp_path: Path) -> None:
    shell = Shell(start(), tmp_path / "shell")
    shell.extra["XDG_RUNTIME_DIR"] = str(tmp_path)
    said = json.loads(shell.run("doctor", "--json").stdout)
    assert said["problems"] == 0
    found = {one["about"]: one for one in said["findings"]}
    assert shell.service.url in found["service"]["text"]
    assert "of `kernelwire serve`" in found["host"]["text"]
    (shell.service.state_dir / "secret").chmod(0o644)
    assert "to mend it: cd " in shell.run("doctor", code=1).stdout
    (shell.service.state_dir / "secret").chmod(0o600)


def test_children_have_the_settings_of_the_supervisor(start: Starter, tmp_path: Path) -> None:
    """From a file that has changed since; also after a restart."""
    file = tmp_path / "settings.toml"
    file.write_text("[bridge]\nqueue_cells = 1\n[rpc]\ncode_bytes = 50\n")
    service = start(arguments=["--config", str(file)])
    file.write_text("[bridge]\nno_such = 1\n")
    shell = Shell(service, tmp_path / "shell")
    shell.log_in()
    busy = "code=import time; time.sleep(60)"

    front = service.one("_front")
    os.kill(front.pid, signal.SIGKILL)
    assert front.wait(STOP_S)

    assert "(-32005)" in shell.call("evaluate", f"code={'x' * 51}", code=1).stderr
    shell.call("evaluate", busy, "wait=0")
    shell.call("evaluate", "code=1", "wait=0")
    assert "(-32005)" in shell.call("evaluate", "code=2", "wait=0", code=1).stderr
    for child in (service.one("_front"), service.one("_host")):
        names = [entry.split(b"=")[0] for entry in Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")]
        assert not [name for name in names if name.startswith(b"KERNELWIRE_")]
    service.stop()


def test_a_host_alone(start: Starter, tmp_path: Path) -> None:
    """Any number of `serve`s come and go; its kernels stay."""
    state = tmp_path / "state"
    with lone_host.running(state, tmp_path / "home") as lone:
        host = lone.process
        assert state.stat().st_mode & 0o777 == 0o700
        assert "another host holds" in kernelwire("host", "--state-dir", str(state), home=tmp_path).stderr

        first = start(state)
        shell = Shell(first, tmp_path / "shell")
        shell.log_in()
        assert shell.call("evaluate", "code=x = 5; x").stdout == "5\n"
        kernels = {one for one in processes.of_state_dir(state) if one.pid not in (first.process.pid, host.pid)}
        kernels -= {first.one("_front")}
        assert not [one for one in processes.of_state_dir(state) if "_host" in one.command]
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(STOP_S) == 0

        assert host.poll() is None
        assert kernels
        assert all(kernel.alive() for kernel in kernels)
        second = start(state)
        assert shell.call("evaluate", "code=x").stdout == "5\n"
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(STOP_S) == 0
        assert host.poll() is None
    assert not processes.of_state_dir(state)
    assert not (state / "host.json").exists()


BASH = r"""
set -eu
PATH=$1:$PATH
eval "$(kernelwire completion bash)"
complete_words() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
    COMP_TYPE=9; COMP_KEY=9; COMPREPLY=()
    local found; found=$(complete -p kernelwire); [[ $found =~ -F\ ([^ ]+) ]]
    "${BASH_REMATCH[1]}" kernelwire "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}" || true
    echo "$*:" "${COMPREPLY[@]}"
}
complete_words kernelwire ""
complete_words kernelwire do
complete_words kernelwire serve --p
complete_words kernelwire completion ""
complete_words kernelwire call ev
complete_words kernelwire call evaluate co
complete_words kernelwire _
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_completion_in_bash(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", str(Path(sys.executable).parent)],
        capture_output=True,
        text=True,
        timeout=4 * COMMAND_S,
        env=environment(tmp_path / "home"),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = {line.partition(":")[0]: line.partition(":")[2].split() for line in done.stdout.splitlines()}
    assert {"serve", "call", "login", "doctor", "completion"} <= set(found["kernelwire "])
    assert found["kernelwire do"] == ["doctor"]
    assert found["kernelwire serve --p"] == ["--port"]
    assert found["kernelwire completion "] == ["bash", "zsh", "fish"]
    assert found["kernelwire call ev"] == ["evaluate"]
    assert found["kernelwire call evaluate co"] == ["code="]
    assert found["kernelwire _"] == []
