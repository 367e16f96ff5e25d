"""The outputs of a cell that ran when its host died, where retention had removed events of it: they say so."""

from pathlib import Path

import msgspec

from kernel_bridge import hop, recovery
from kernel_bridge.cell import LiveCell
from kernel_bridge.clock import utcnow
from kernel_bridge.events import from_service
from kernel_bridge.journal import Journal
from kernel_bridge.outputs import OutputFold
from kernel_bridge.settings import BridgeSettings

SMALL = BridgeSettings(segment_bytes=1000, retention_bytes=3000)
LINES = 200


def journal_of(directory: Path) -> Journal:
    directory.mkdir(exist_ok=True)
    return Journal(directory, SMALL)


def running(journal: Journal) -> LiveCell:
    """A cell that has just begun to run behind others, as the runner has it, saved."""
    for _ in range(50):
        journal.write(from_service("stream", {"name": "stdout", "text": "of another cell\n"}, "other"))
    request = hop.Evaluate(caller=hop.Caller("u", "user"), session="s", code="1", cell="c")
    cell = LiveCell("s", "c", request, OutputFold(), utcnow(), started_at=utcnow(), queued_seq=3)
    cell.runs_after, cell.runs_after_bytes = journal.newest, journal.events.written_bytes
    assert journal.save(cell.id, recovery.to_save(cell))
    return cell


def rebuilt(directory: Path) -> recovery.Rebuilt:
    journal = journal_of(directory)
    (only,) = recovery.read(journal, "s", 1 << 20)
    journal.close()
    return only


def test_what_retention_removed_is_counted(tmp_path: Path) -> None:
    journal = journal_of(tmp_path)
    cell = running(journal)
    for number in range(LINES):
        journal.write(from_service("stream", {"name": "stdout", "text": f"{number}\n"}, cell.id))
    page = journal.read(0, None, 1, 1)
    removed = msgspec.json.decode(page.events[0])["content"]
    journal.close()
    fold = rebuilt(tmp_path).fold
    kept = fold.outputs()[-1]["text"].split()
    assert 0 < len(kept) < LINES
    assert kept == [str(number) for number in range(LINES - len(kept), LINES)]
    assert fold.truncated is not None
    assert (fold.truncated.events, fold.truncated.at) == (LINES - len(kept), 0)
    assert fold.truncated.bytes == removed["bytes"] - cell.runs_after_bytes > 0
    assert fold.text().startswith(f"... {fold.truncated.bytes} bytes omitted ...\n")


def test_what_was_removed_of_others_is_not(tmp_path: Path) -> None:
    journal = journal_of(tmp_path)
    cell = running(journal)
    journal.write(from_service("stream", {"name": "stdout", "text": "all of it\n"}, cell.id))
    assert 1 < journal.events.oldest <= cell.runs_after
    journal.close()
    fold = rebuilt(tmp_path).fold
    assert (fold.text(), fold.truncated) == ("all of it\n", None)
