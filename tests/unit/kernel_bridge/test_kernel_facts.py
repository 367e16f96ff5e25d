import pytest

from kernel_bridge.kernel_facts import code_status, kernel_info, language_of
from kernel_bridge.kernel_results import CodeStatus
from kernel_bridge.notebook import notebook_metadata
from kernel_bridge.wire import Codec


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"banner":1,"language_info":[],"help_links":{}}'])
def test_a_kernel_that_says_nothing_readable(content: bytes) -> None:
    info = kernel_info(content)
    assert (info.banner, info.language_info, info.help_links, info.lossless) == ("", {}, [], False)
    assert language_of(info) is None


def test_what_is_readable_is_kept() -> None:
    info = kernel_info(
        b'{"language_info":{"name":"bash"},"help_links":[1,{"text":"t"}],'
        b'"supported_features":["kernelwire lossless",2]}'
    )
    assert (language_of(info), info.help_links, info.lossless) == ("bash", [{"text": "t"}], True)
    assert info.supported_features == ["kernelwire lossless"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"status":"incomplete","indent":"  "}', CodeStatus("incomplete", "  ")),
        (b'{"status":"complete","indent":"  "}', CodeStatus("complete", "")),
        (b'{"status":"error"}', CodeStatus("unknown", "")),
        (b"{}", CodeStatus("unknown", "")),
        (b"\xff", CodeStatus("unknown", "")),
    ],
)
def test_whether_code_is_complete(content: bytes, status: CodeStatus) -> None:
    assert code_status(content) == status


def test_the_metadata_of_a_notebook_whose_kernelspec_is_gone() -> None:
    assert notebook_metadata("old", None, None) == {"kernelspec": {"name": "old", "display_name": "old"}}
    odd = kernel_info(b'{"language_info":{"name":"x","version":3,"codemirror_mode":[1],"mimetype":"text/x"}}')
    assert notebook_metadata("old", None, odd)["language_info"] == {"name": "x", "mimetype": "text/x"}


def test_metadata_and_buffers_of_a_message_arrive() -> None:
    codec = Codec(b"key", "s")
    _, frames = codec.encode("comm_msg", {"comm_id": "m"}, metadata={"version": "2"}, buffers=[b"\x00\xff", b""])
    message = codec.decode(frames)
    assert (message.metadata, message.buffers) == (b'{"version":"2"}', (b"\x00\xff", b""))
