"""What a kernel says of itself, as the wire contract shows it. Pure.

Source: Jupyter messaging protocol, "Kernel info".
"""

from typing import Any, cast

import msgspec

from kernel_bridge.kernel_results import CodeStatus, KernelInfo

LOSSLESS = "kernelwire lossless"
"""the feature that our launcher puts into supported_features once iopub has no high-water mark"""


def kernel_info(content: bytes) -> KernelInfo:
    """The content of a kernel_info_reply. What a kernel leaves out, or gives in another type, is empty."""
    try:
        fields = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = {}
    features = [feature for feature in _list(fields.get("supported_features")) if isinstance(feature, str)]
    links = [_object(link) for link in _list(fields.get("help_links")) if isinstance(link, dict)]
    return KernelInfo(
        protocol_version=_text(fields.get("protocol_version")),
        implementation=_text(fields.get("implementation")),
        implementation_version=_text(fields.get("implementation_version")),
        language_info=_object(fields.get("language_info")),
        banner=_text(fields.get("banner")),
        help_links=links,
        supported_features=features,
        lossless=LOSSLESS in features,
    )


def language_of(info: KernelInfo | None) -> str | None:
    """Name of the kernel's language; None if it is not known."""
    name = info.language_info.get("name") if info is not None else None
    return name if isinstance(name, str) and name else None


def code_status(content: bytes) -> CodeStatus:
    """The content of an is_complete_reply; `unknown` if the kernel gave none of the protocol's words."""
    try:
        return msgspec.json.decode(content, type=_IsCompleteReply).shown()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return CodeStatus("unknown", "")


class _IsCompleteReply(CodeStatus, frozen=True):
    indent: str = ""

    def shown(self) -> CodeStatus:
        return CodeStatus(self.status, self.indent if self.status == "incomplete" else "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
