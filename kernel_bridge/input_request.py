"""What an input_request asks. Source: Jupyter messaging protocol, "Messages on the stdin channel"."""

from typing import Any

import msgspec

from kernel_bridge.event_contents import InputRequest


def read(input_id: str, content: bytes) -> InputRequest:
    """The event that shows the request, however oddly the kernel made it: an unreadable prompt is empty."""
    try:
        fields = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = {}
    prompt = fields.get("prompt")
    return InputRequest(input_id, prompt if isinstance(prompt, str) else "", fields.get("password") is True)
