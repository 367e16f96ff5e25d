"""The params of methods that talk to comms."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from rpc.messages import SessionId

CommId = Annotated[str, Meta(min_length=1, max_length=256, description="the id of a comm: 1 to 256 characters")]
TargetName = Annotated[str, Meta(min_length=1, max_length=256, description="a name of 1 to 256 characters")]
Data = Annotated[dict[str, Any], Meta(description="an object, with numbers of at most 64 bits and little nesting")]
Buffers = Annotated[list[bytes], Meta(max_length=1000, description="an array of at most 1000 strings in base64")]


class CommOpenParams(Struct, frozen=True, forbid_unknown_fields=True):
    target_name: TargetName
    """what the kernel has registered, `jupyter.widget` for instance"""
    data: Data | None = None
    """the message's own content"""
    comm_id: CommId | None = None
    """id of the new comm; without it the service makes one"""
    metadata: Data | None = None
    """the message's metadata; widgets say there which version they speak"""
    buffers: Buffers | None = None
    """binary parts of the data"""
    session: SessionId | None = None


class CommMsgParams(Struct, frozen=True, forbid_unknown_fields=True):
    comm_id: CommId
    """id of the comm, from its comm_open event"""
    data: Data | None = None
    """the message's own content"""
    metadata: Data | None = None
    """the message's metadata"""
    buffers: Buffers | None = None
    """binary parts of the data"""
    session: SessionId | None = None
