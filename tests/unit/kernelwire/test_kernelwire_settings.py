"""Settings: which source counts more, what is wrong and where, and how children get them."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from kernelwire import handed_settings, settings
from kernelwire.errors import BadSetting
from kernelwire.known_settings import value_of
from kernelwire.settings import Resolved

NOWHERE = {"XDG_CONFIG_HOME": "/nowhere"}


def _resolve(environment: Mapping[str, str] | None = None, **flags: str) -> Resolved:
    given = {name.replace("__", "."): value for name, value in flags.items()}
    return settings.resolve(given, None, {**NOWHERE, **(environment or {})})


def test_defaults_are_those_of_the_contract() -> None:
    found = _resolve().settings
    assert found.auth.token_lifetime_s == 12 * 3600
    assert (found.rpc.batch_items, found.rpc.body_bytes, found.rpc.code_bytes) == (100, 8 << 20, 1 << 20)
    assert (found.bridge.queue_cells, found.bridge.sessions_per_user) == (1000, 64)
    assert (found.bridge.retention_bytes, found.bridge.segment_bytes) == (256 << 20, 8 << 20)
    assert (found.serve.host, found.serve.port, found.serve.workers) == ("127.0.0.1", 8787, 1)
    assert (found.serve.host_silence_s, found.serve.front_silence_s) == (30, 15)


def test_the_defaults_keep_their_own_rules() -> None:
    for key, known in settings.known().items():
        value = msgspec.to_builtins(known.default)
        if value is not None:
            assert known.convert(value, "default", from_text=False) == known.default, key


def test_the_environment_sets_one_and_leaves_the_others() -> None:
    resolved = _resolve(
        {
            "KERNELWIRE_BRIDGE__QUEUE_CELLS": "10",
            "KERNELWIRE_BRIDGE__INTERRUPT_KILL": "false",
            "KERNELWIRE_RPC__DRAIN_S": "0.5",
            "KERNELWIRE_AUTH__DATABASE_URL": "sqlite:////x",
            "KERNELWIRE_STATE_DIR": "/nowhere",
            "KERNELWIRE_TOKEN": "a secret of the client",
            "KERNELWIRE_URL": "http://127.0.0.1:1",
            "OTHER_BRIDGE__QUEUE_CELLS": "x",
        }
    )
    found = resolved.settings
    assert (found.bridge.queue_cells, found.bridge.interrupt_kill) == (10, False)
    assert found.bridge.sessions_per_user == 64
    assert found.rpc.drain_s == 0.5
    assert found.auth.database_url == "sqlite:////x"
    assert resolved.state_dir == Path("/nowhere")
    assert resolved.origins["bridge.queue_cells"] == "environment: KERNELWIRE_BRIDGE__QUEUE_CELLS"
    assert "bridge.sessions_per_user" not in resolved.origins


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KERNELWIRE_BRIDGE__NO_SUCH", "1", "bridge.no_such"),
        ("KERNELWIRE_RPC__NO_SUCH", "1", "rpc.no_such"),
        ("KERNELWIRE_AUTH__NO_SUCH", "1", "auth.no_such"),
        ("KERNELWIRE_NO_SUCH__X", "1", "no_such.x"),
        ("KERNELWIRE_STATEDIR", "/x", "the nearest is KERNELWIRE_STATE_DIR"),
        ("KERNELWIRE_BRIDGE__", "1", "KERNELWIRE_BRIDGE__"),
        ("KERNELWIRE_BRIDGE", "1", "such as KERNELWIRE_BRIDGE__"),
        ("KERNELWIRE_BRIDGE__QUEU_CELLS", "1", "the nearest is KERNELWIRE_BRIDGE__QUEUE_CELLS"),
        ("KERNELWIRE_QUEUE_CELLS", "1", "the nearest is KERNELWIRE_BRIDGE__QUEUE_CELLS"),
        ("KERNELWIRE_BRIDGE__QUEUE_CELLS", "many", "queue_cells: expected an integer from 1, got 'many'"),
        ("KERNELWIRE_BRIDGE__QUEUE_CELLS", "0", "queue_cells"),
        ("KERNELWIRE_BRIDGE__QUEUE_CELLS", "1.5", "queue_cells"),
        ("KERNELWIRE_BRIDGE__QUEUE_CELLS", "9" * 5000, "queue_cells"),
        ("KERNELWIRE_BRIDGE__KERNEL_START_S", "-1", "kernel_start_s: expected a finite number above 0"),
        ("KERNELWIRE_BRIDGE__KERNEL_START_S", "nan", "kernel_start_s"),
        ("KERNELWIRE_BRIDGE__KERNEL_START_S", "inf", "kernel_start_s"),
        ("KERNELWIRE_BRIDGE__INTERRUPT_KILL", "perhaps", "interrupt_kill: expected true or false"),
        ("KERNELWIRE_RPC__DRAIN_S", "", "drain_s"),
        ("KERNELWIRE_AUTH__TOKEN_LIFETIME_S", "-1", "token_lifetime_s"),
        ("KERNELWIRE_AUTH__LOGINS_AT_ONCE", "0", "logins_at_once"),
        ("KERNELWIRE_AUTH__DATABASE_URL", "", "expected sqlite:////absolute/path of a file, got something else"),
        ("KERNELWIRE_SERVE__PORT", "65536", "expected a port from 0 to 65535"),
    ],
)
def test_what_is_wrong_stops_the_start(name: str, value: str, words: str) -> None:
    with pytest.raises(BadSetting) as raised:
        _resolve({name: value})
    assert words in str(raised.value)
    assert str(raised.value).startswith(f"environment: {name}: ")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_each_source_counts_more_than_the_one_below(tmp_path: Path) -> None:
    user = tmp_path / "config" / "kernelwire" / "config.toml"
    user.parent.mkdir(parents=True)
    project = tmp_path / "project.toml"
    user.write_text("[bridge]\nqueue_cells = 1\nsessions_per_user = 1\nkernel_stop_s = 1\n[serve]\nport = 1\n")
    project.write_text("bridge.queue_cells = 2\nbridge.sessions_per_user = 2\nserve = {port = 2}\n")
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "KERNELWIRE_BRIDGE__QUEUE_CELLS": "3"}
    environment["KERNELWIRE_SERVE__PORT"] = "3"

    resolved = settings.resolve({"serve.port": "4", "serve.host": None}, str(project), environment)

    bridge, serve = resolved.settings.bridge, resolved.settings.serve
    assert (serve.port, bridge.queue_cells, bridge.sessions_per_user, bridge.kernel_stop_s) == (4, 3, 2, 1)
    assert serve.host == "127.0.0.1"
    assert dict(resolved.origins) == {
        "serve.port": "flag: --port",
        "bridge.queue_cells": "environment: KERNELWIRE_BRIDGE__QUEUE_CELLS",
        "bridge.sessions_per_user": f"{project}:2",
        "bridge.kernel_stop_s": f"{user}:4",
    }


def test_a_project_file_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("serve.port = 1")
    (tmp_path / "b.toml").write_text("serve.port = 2")
    environment = {**NOWHERE, "KERNELWIRE_CONFIG": str(tmp_path / "a.toml")}
    assert settings.resolve({}, None, environment).settings.serve.port == 1
    assert settings.resolve({}, str(tmp_path / "b.toml"), environment).settings.serve.port == 2


def test_nothing_is_read_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kernelwire.toml", "config.toml", ".kernelwire.toml"):
        (tmp_path / name).write_text("serve.port = 1")
    monkeypatch.chdir(tmp_path)
    assert _resolve().settings.serve.port == 8787


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[bridge]\n\nqueue_cells = 'many'", ":3: bridge.queue_cells: expected an integer from 1, got 'many'"),
        ("[bridge]\nqueue_cells = 0", ":2: bridge.queue_cells"),
        ("bridge.queue_cells = '10'", ":1: bridge.queue_cells"),
        ("bridge = {queue_cells = true}", ":1: bridge.queue_cells"),
        ("# first\n[bridge]\nkernel_start_s = inf", ":3: bridge.kernel_start_s"),
        ("[brigde]\nqueue_cells = 1", ":2: there is no setting brigde.queue_cells; the nearest is bridge.queue_cells"),
        ("queue_cells = 1", ":1: there is no setting queue_cells; the nearest is bridge.queue_cells"),
        ("bridge = 1", ":1: bridge: expected settings of this part, such as bridge."),
        ("[bridge.queue_cells]\nx = 1", "bridge.queue_cells"),
        ("[xyz]\na = 1", ":2: there is no setting xyz.a; there are audit, auth, bridge, "),
        ("auth.database_url = 5", ":1: auth.database_url: expected sqlite:////absolute/path of a file, got something"),
        ("state_dir = 'here'", ":1: state_dir: expected an absolute path, or one that begins with ~, got 'here'"),
        ("[bridge\n", "expected TOML: "),
        ("a = 1\na = 2\n", "at line 2"),
        ("x = " + "[" * 5000, "expected TOML"),
        ("#" * (1 << 20) + "\n", "bytes"),
    ],
)
def test_what_is_wrong_in_a_file(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(BadSetting) as raised:
        settings.resolve({}, str(path), NOWHERE)
    assert str(raised.value).startswith(str(path))
    assert words in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(BadSetting, match="expected TOML"):
        settings.resolve({}, str(path), NOWHERE)


def test_a_missing_project_file_is_an_error_and_a_missing_user_file_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        settings.resolve({}, str(tmp_path / "none.toml"), NOWHERE)
    settings.resolve({}, None, {"XDG_CONFIG_HOME": str(tmp_path)})


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    assert not settings.resolve({}, str(tmp_path / "empty.toml"), NOWHERE).origins


def test_the_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    by_environment = {"KERNELWIRE_STATE_DIR": "/by/environment", "XDG_STATE_HOME": "/xdg"}
    assert _resolve(by_environment, state_dir="/by/flag").state_dir == Path("/by/flag")
    assert _resolve(by_environment).state_dir == Path("/by/environment")
    assert _resolve({"XDG_STATE_HOME": "/xdg"}).state_dir == Path("/xdg/kernelwire")
    # XDG Base Directory Specification: a relative path is to be ignored
    assert _resolve({"XDG_STATE_HOME": "xdg"}).state_dir == tmp_path / ".local/state/kernelwire"
    assert _resolve({"KERNELWIRE_STATE_DIR": ""}).state_dir == tmp_path / ".local/state/kernelwire"
    assert _resolve(state_dir="").state_dir == tmp_path / ".local/state/kernelwire"
    assert _resolve(state_dir="here").state_dir == tmp_path / "here"
    assert _resolve(state_dir="~/there").state_dir == tmp_path / "there"
    (tmp_path / "file.toml").write_text("state_dir = '~/by-file'")
    assert settings.resolve({}, "file.toml", NOWHERE).state_dir == tmp_path / "by-file"


def test_children_get_what_was_resolved(tmp_path: Path) -> None:
    resolved = _resolve({"KERNELWIRE_BRIDGE__QUEUE_CELLS": "7", "KERNELWIRE_STATE_DIR": str(tmp_path)})
    descriptor = handed_settings.hand_on(resolved.settings)
    try:
        assert not os.get_inheritable(descriptor)
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
        # as two children, which share the place to read from
        assert handed_settings.take(os.dup(descriptor)) == resolved.settings
        assert handed_settings.take(os.dup(descriptor)) == resolved.settings
    finally:
        os.close(descriptor)


def test_settings_of_another_version_are_refused() -> None:
    descriptor = os.memfd_create("test")
    os.write(descriptor, b'{"bridge":{"of_another_version":1}}')
    with pytest.raises(BadSetting, match="of_another_version"):
        handed_settings.take(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_every_setting_has_a_value_and_words() -> None:
    resolved = _resolve().settings
    for key, known in settings.known().items():
        assert known.expected
        if key != settings.STATE_DIR:
            assert value_of(resolved, key) == known.default
