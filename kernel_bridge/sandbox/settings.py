"""Settings of the sandbox that kernels run in. Sizes are bytes, paths absolute."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Profile = Literal["strict", "network", "trusted", "none"]
AbsolutePath = Annotated[str, Meta(pattern=r"^/", extra_json_schema={"description": "an absolute path"})]
Megabytes = Annotated[int, Meta(ge=1 << 20)]


class SandboxSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What code in a kernel can reach besides its own session."""

    profile: Profile = "strict"
    """`strict`: no network. `network`: that of the machine. `trusted`: that, and the home directory of whoever runs the
    service. `none`: no sandbox, whatever the service can reach; for one user who has a reason"""
    users: dict[str, Profile] = {}
    """by user name: another profile than `profile`"""
    mounts_ro: list[AbsolutePath] = []
    """files and folders that kernels can read besides the system's, at their own paths"""
    mounts_rw: list[AbsolutePath] = []
    """files and folders that kernels can read and write, shared by all sessions"""
    tmp_bytes: Megabytes = 256 << 20
    """size of a kernel's own /tmp, in memory"""
    shm_bytes: Megabytes = 256 << 20
    """size of a kernel's own /dev/shm, in memory"""
