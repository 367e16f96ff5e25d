"""The audit records of commands: who of the machine's users did what, beside the service."""

import sys
from pathlib import Path

from auth.audit import AuditFile, AuditSettings, Fact, line_of


def record(state_dir: Path, settings: AuditSettings, event: str, uid: int, **facts: Fact) -> None:
    """Note what a command has done for the user `uid`. It is done already: if it cannot be noted, that is said on
    standard error."""
    if not settings.enabled:
        return
    try:
        AuditFile(state_dir, settings).append([line_of(event, {**facts, "by": "command", "uid": uid})])
    except OSError as error:
        sys.stderr.write(f"kernelwire: not in the audit log: {error.strerror or error}\n")
