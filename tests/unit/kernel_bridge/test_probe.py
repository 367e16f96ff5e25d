"""Which of a kernel's messages belong to a probe."""

from kernel_bridge.connection import ChannelName
from kernel_bridge.probe import Probe, Probes
from kernel_bridge.wire import Message


def message(msg_type: str, parent: str, content: bytes = b"{}") -> Message:
    return Message(msg_type, "m", parent, content, b"{}")


def ignore(_: ChannelName, __: Message) -> None:
    """Whoever gets the messages besides."""


def test_a_probe_is_answered_on_shell_and_passed_on_iopub() -> None:
    delivered: list[tuple[ChannelName, str]] = []
    probes = Probes(lambda channel, message: delivered.append((channel, message.msg_type)))
    probe = Probe()
    probes.watch("q-1", probe)
    probes.deliver("iopub", message("status", "q-1", b'{"execution_state": "busy"}'))
    probes.deliver("iopub", message("status", "x-c", b'{"execution_state": "idle"}'))
    probes.deliver("shell", message("execute_reply", "x-c"))
    assert (probe.answered.is_set(), probe.passed.is_set()) == (False, False)
    probes.deliver("shell", message("kernel_info_reply", "q-1", b'{"status": "ok"}'))
    assert (probe.answered.is_set(), probe.passed.is_set()) == (True, False)
    assert probe.content == b'{"status": "ok"}'
    probes.deliver("iopub", message("status", "q-1", b'{"execution_state": "idle"}'))
    assert probe.passed.is_set()
    assert len(delivered) == 5  # everything is passed on


def test_any_answer_to_what_was_sent_for_a_probe_counts() -> None:
    probes = Probes(ignore)
    probe = Probe()
    for msg_id in ("q-1", "q-2"):
        probes.watch(msg_id, probe)
    probes.deliver("shell", message("kernel_info_reply", "q-2", b"second"))
    probes.deliver("shell", message("kernel_info_reply", "q-1", b"first"))
    assert (probe.answered.is_set(), probe.content) == (True, b"second")


def test_idle_may_come_before_the_reply() -> None:
    probes = Probes(ignore)
    probe = Probe()
    probes.watch("q-1", probe)
    probes.deliver("iopub", message("status", "q-1", b'{"execution_state": "idle"}'))
    assert (probe.answered.is_set(), probe.passed.is_set()) == (False, True)
    probes.deliver("shell", message("kernel_info_reply", "q-1"))
    assert probe.answered.is_set()
