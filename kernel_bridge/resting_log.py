"""A log that is neither read nor written still has to forget what is too old."""

import random
from datetime import datetime, timedelta
from pathlib import Path

from kernel_bridge.log import EventLog
from kernel_bridge.log_limits import LogLimits
from kernel_bridge.tally import LogTally

SWEEP_S = 3600.0
"""how often it is looked at; the first time at a random moment, so that not all sessions of a host come at once"""


class RestingLog:
    """Looks after the log in `directory` while nobody else has it open; its owner calls `tend` now and then."""

    def __init__(self, directory: Path, limits: LogLimits, tally: LogTally) -> None:
        self._directory = directory
        self._limits = limits
        self._tally = tally
        self._due: datetime | None = None

    def tend(self, now: datetime) -> bool:
        """Drop segments that are too old, if it is time to look; whether it was. Holds nothing open. Raises OSError."""
        if self._due is not None and now >= self._due:
            self._due = now + timedelta(seconds=SWEEP_S)
            log = EventLog.open(self._directory, self._limits, tally=self._tally)
            log.retain()
            log.close()
            return True
        if self._due is None:
            self._due = now + timedelta(seconds=random.uniform(0, SWEEP_S))  # noqa: S311  no secret
        return False
