"""What the bridge answers about a session's kernel."""

from typing import Any, Literal

from msgspec import Struct

from kernel_bridge.results import Exit


class CodeStatus(Struct, frozen=True):
    """Whether code can be run as it is. Jupyter messaging protocol, "Code completeness"."""

    status: Literal["complete", "incomplete", "invalid", "unknown"]
    """`incomplete`: it goes on in a further line; `unknown`: the kernel cannot tell"""
    indent: str
    """what the next line should begin with; empty unless `status` is incomplete"""


class KernelInfo(Struct, frozen=True):
    """What the kernel says of itself. Jupyter messaging protocol, "Kernel info"."""

    protocol_version: str
    """of the Jupyter messaging protocol, that the kernel speaks"""
    implementation: str
    """the kernel's name, `ipython` for instance"""
    implementation_version: str
    """the kernel's version"""
    language_info: dict[str, Any]
    """name, version, mimetype, file_extension and the like"""
    banner: str
    """what a terminal shows first"""
    help_links: list[dict[str, Any]]
    """`text` and `url` of each"""
    supported_features: list[str]
    """what the kernel can do beside the usual"""
    lossless: bool
    """whether it never drops output, as it runs under kernelwire's launcher"""


class Restarted(Struct, frozen=True):
    """The session's new kernel is ready."""

    session: str
    kernel: str
    cell: str | None
    """the cell that ran, which ended as `restarted`; null if none did"""
    aborted: int
    """cells that waited and were aborted"""
    exit: Exit | None
    """how the old kernel ended; null if there was none"""


class CommSent(Struct, frozen=True):
    """The message is on its way to the kernel; what comes of it are events."""

    comm_id: str
    """id of the comm"""
