"""A kernel's connection file: where its five channels are and the key that signs their messages.

Source: jupyter_client documentation, "Making kernels for Jupyter", section "Connection files".
"""

import errno
import os
import secrets
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kernel_bridge.files import write_atomically
from kernel_bridge.ownership import remove_tree

SOCKET_PATH_BYTES = 107
"""sun_path of unix(7), without its ending NUL"""
SOCKET = "s"
"""what the names of sockets begin with; `-N` follows"""

ChannelName = Literal["shell", "iopub", "stdin", "control", "hb"]


class Connection(Struct, frozen=True, kw_only=True):
    """The members of the file. Over ipc `ip` is a path and a "port" a number: the socket is `<ip>-<port>`."""

    transport: Literal["ipc"] = "ipc"
    ip: str
    shell_port: int = 1
    iopub_port: int = 2
    stdin_port: int = 3
    control_port: int = 4
    hb_port: int = 5
    key: str
    signature_scheme: Literal["hmac-sha256"] = "hmac-sha256"
    kernel_name: str = ""

    @classmethod
    def create(cls, socket_dir: Path, kid: str, kernel_name: str) -> "Connection":
        """A connection with a new key (256 bits) for sockets `<socket_dir>/<kid>/s-N`. Creates no file.

        A kernel's sockets have a directory of their own, which is all of `socket_dir` that its sandbox shows. Raises
        OSError (ENAMETOOLONG) if such a path is too long for a socket.
        """
        ip = str(socket_dir / kid / SOCKET)
        if len(os.fsencode(f"{ip}-5")) > SOCKET_PATH_BYTES:
            raise OSError(errno.ENAMETOOLONG, f"longer than {SOCKET_PATH_BYTES} bytes", f"{ip}-5")
        return cls(ip=ip, key=secrets.token_hex(32), kernel_name=kernel_name)

    @classmethod
    def of(cls, socket_dir: Path, kid: str, key: str, kernel_name: str) -> "Connection":
        """The one that `create` made, for whoever knows its key."""
        return cls(ip=str(socket_dir / kid / SOCKET), key=key, kernel_name=kernel_name)

    @property
    def directory(self) -> Path:
        """Where the sockets are; made and removed by whoever starts the kernel."""
        return Path(self.ip).parent

    @classmethod
    def read(cls, path: Path) -> "Connection":
        """What `write` wrote. Raises OSError, and msgspec.DecodeError for anything else than such a file."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all, mode 0600. Raises OSError."""
        write_atomically(path, msgspec.json.encode(self))

    def endpoint(self, channel: ChannelName) -> str:
        """The channel's 0MQ address."""
        return f"ipc://{self._socket(channel)}"

    def remove_sockets(self) -> None:
        """Remove their directory with all that is in it. The kernel must be gone: 0MQ does not come back to them.

        Raises OSError for anything but that it is gone already.
        """
        try:
            remove_tree(self.directory)
        except FileNotFoundError:
            return

    def __repr__(self) -> str:
        return f"Connection({self.ip!r}, kernel_name={self.kernel_name!r})"  # never the key: this may be logged

    def _socket(self, channel: ChannelName) -> Path:
        port = {
            "shell": self.shell_port,
            "iopub": self.iopub_port,
            "stdin": self.stdin_port,
            "control": self.control_port,
            "hb": self.hb_port,
        }[channel]
        return Path(f"{self.ip}-{port}")
