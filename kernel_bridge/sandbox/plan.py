"""What one kernel's sandbox is: the profile turned into mounts, environment and network."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from kernel_bridge.privileges import obstacle
from kernel_bridge.sandbox.mounts import Mount, arrange, is_below, reach
from kernel_bridge.sandbox.settings import Profile, SandboxSettings

Level = Literal["namespaces", "landlock"]

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/nix/store", "/gnu/store", "/run/current-system/sw"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
    *("/var/cache/fontconfig", "/var/lib/texmf"),
)
SYSTEM_ETC = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld-musl-x86_64.path", "ld-musl-aarch64.path"),
    *("nsswitch.conf", "hosts", "host.conf", "gai.conf", "protocols", "services"),
    *("localtime", "timezone", "locale.alias", "locale.conf", "mime.types", "magic"),
    *("ssl/certs", "ssl/openssl.cnf", "ca-certificates.conf", "pki/tls/certs", "pki/tls/openssl.cnf", "pki/ca-trust"),
    *("crypto-policies", "alternatives", "fonts", "matplotlibrc", "terminfo", "inputrc", "bash.bashrc", "profile"),
    *("R", "texmf", "octave", "julia", "OpenCL", "ipython", "jupyter"),
)
"""of /etc nothing that holds a key or a password, not even for root"""
RESOLVER = "/etc/resolv.conf"
OWN_VARIABLES = ("IPYTHONDIR", "JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR")
"""of the service's own user: folders that are not there"""
OWN_PREFIXES = ("XDG_",)


class Sandbox(Struct, frozen=True, kw_only=True):
    """One kernel's; see entry.Sandbox for what becomes of it."""

    level: Level
    """what the machine can do: `landlock` where it refuses namespaces"""
    network: bool
    """whether it has the machine's network"""
    mounts: tuple[Mount, ...]
    sockets: str
    """the directory of the kernel's own sockets"""
    shm_bytes: int
    home: str
    own_home: bool
    """whether that is the home directory of the service's user"""

    def environment(self, env: dict[str, str]) -> dict[str, str]:
        """That of the kernel, from the one that it would have without a sandbox."""
        kept = {name: text for name, text in env.items() if not self._is_left_out(name)}
        return kept | {"HOME": self.home, "TMPDIR": "/tmp" if self.level == "namespaces" else self.home}  # noqa: S108

    def _is_left_out(self, name: str) -> bool:
        if self.own_home:
            return name == "XDG_RUNTIME_DIR"
        return name in OWN_VARIABLES or name.startswith(OWN_PREFIXES)

    def fields(self) -> Iterator[tuple[str, str]]:
        """As the shim reads it."""
        yield "sandbox_level", self.level
        yield "sandbox_network", str(int(self.network))
        yield "sandbox_sockets", self.sockets
        yield "sandbox_shm_bytes", str(self.shm_bytes)
        yield "sandbox_home", self.home
        for mount in self.mounts:
            yield "sandbox_mount", f"{mount.kind} {mount.bytes} {mount.path}"


class Surroundings(Struct, frozen=True, kw_only=True):
    """What is the same for all kernels of a host."""

    secret: tuple[str, ...]
    """directories that no kernel sees, except what is its own in there: of the service's state, sockets, settings"""
    service: tuple[str, ...]
    """the service's own programs, which no kernel changes"""


class Own(Struct, frozen=True, kw_only=True):
    """What one kernel needs, all absolute."""

    workdir: str
    sockets: str
    connection_file: str
    programs: tuple[str, ...]
    """its interpreter, our launcher, its kernelspec"""
    other_user: bool = False
    """whether it runs as another user of the system than the service, and does not get to what is closed to such"""


def plan(level: Level, profile: Profile, settings: SandboxSettings, around: Surroundings, own: Own) -> Sandbox:
    """The sandbox of a kernel; `profile` is none of "none"."""
    secret = [os.path.realpath(path) for path in around.secret]
    home = os.path.realpath(Path.home()) if profile == "trusted" else None
    open_net = profile != "strict"
    read = [*SYSTEM, *(f"/etc/{name}" for name in SYSTEM_ETC), *own.programs]
    read += [RESOLVER] if open_net else []
    write: list[str] = []
    for given, into in ((settings.mounts_ro, read), (settings.mounts_rw, write)):
        into += [path for path in given if not _is_inside(path, secret)]
    if home is not None:
        write.append(home)
        read += around.service
    if level == "landlock":  # it can allow a folder, and not take a part of it away again
        read, write = _without(secret, read), _without(secret, write)
    if own.other_user:
        read, write = ([path for path in paths if _is_open(path)] for paths in (read, write))
    mine = (own.workdir, own.sockets)
    return Sandbox(
        level=level,
        network=open_net,
        mounts=arrange(
            read=[*read, own.connection_file],
            write=[*write, *mine],
            hide=secret,
            temporary={"/tmp": settings.tmp_bytes, "/var/tmp": settings.tmp_bytes},  # noqa: S108
        ),
        sockets=os.path.realpath(own.sockets),
        shm_bytes=settings.shm_bytes,
        home=home if home is not None and home in write else own.workdir,
        own_home=home is not None and home in write,
    )


def _is_open(path: str) -> bool:
    """Whether every user gets to `path`, over all links that are in it."""
    links, real = reach(path)
    return all(obstacle(Path(one), 0) is None for one in (*links, real))


def _is_inside(path: str, secret: Iterable[str]) -> bool:
    return any(is_below(os.path.realpath(path), top) for top in secret)


def _without(secret: Iterable[str], paths: Iterable[str]) -> list[str]:
    return [path for path in paths if not any(is_below(top, os.path.realpath(path)) for top in secret)]
