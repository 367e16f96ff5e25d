"""Connection files, with jupyter_client as the oracle."""

import socket
from pathlib import Path

import msgspec
import pytest
from jupyter_client.connect import ConnectionFileMixin

from kernel_bridge.connection import Connection


def test_jupyter_client_reads_what_we_write(tmp_path: Path) -> None:
    connection = Connection.create(tmp_path, "k1", "python3")
    path = tmp_path / "connection.json"
    connection.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Connection.read(path) == connection
    theirs = ConnectionFileMixin(connection_file=str(path))
    theirs.load_connection_file()
    assert theirs.session.key == connection.key.encode()
    assert theirs.session.signature_scheme == connection.signature_scheme
    for channel in ("shell", "iopub", "stdin", "control", "hb"):
        assert theirs._make_url(channel) == connection.endpoint(channel)  # pyright: ignore[reportPrivateUsage]
    assert connection.endpoint("shell") == f"ipc://{tmp_path}/k1/s-1"


def test_each_connection_has_a_key_of_its_own_and_never_shows_it(tmp_path: Path) -> None:
    one, two = Connection.create(tmp_path, "k", ""), Connection.create(tmp_path, "k", "")
    assert one.key != two.key
    assert len(one.key) == 64
    assert one.key not in f"{one!r} {one}"


def test_sockets_are_removed_where_they_are(tmp_path: Path) -> None:
    connection = Connection.create(tmp_path, "k", "")
    connection.directory.mkdir()
    (connection.directory / "planted").symlink_to(tmp_path)  # code in the kernel can have put anything there
    other = tmp_path / "k2"
    other.mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(connection.endpoint("iopub").removeprefix("ipc://"))
    connection.remove_sockets()
    connection.remove_sockets()
    assert list(tmp_path.iterdir()) == [other]


def test_a_path_fits_a_socket_or_is_refused() -> None:
    longest = Path("/" + "d" * 98)
    assert Connection.create(longest, "kid", "").endpoint("hb").endswith("kid/s-5")
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError):
        client.connect(f"{longest}/kid/s-5")
    with pytest.raises(OSError, match="longer than 107 bytes"):
        Connection.create(longest, "kid4", "")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tcp.json").write_text('{"transport": "tcp", "ip": "127.0.0.1", "key": ""}')
    with pytest.raises(msgspec.DecodeError, match="transport"):
        Connection.read(tmp_path / "tcp.json")
