"""`kernelwire key`: the keys that tokens are signed with."""

import time
from datetime import UTC, datetime
from pathlib import Path

from auth import bootstrap, secret
from auth.secret import Keys
from auth.settings import AuthSettings

_MARGIN_S = 3600
"""a front that runs signs with the old key for a second more, and clocks differ"""


def rotate(state_dir: Path, settings: AuthSettings, *, revoke: bool) -> Keys:
    """A new key, which fronts that run take within 2 s; see secret.rotate. Raises AuthError."""
    bootstrap.bootstrap(state_dir, settings)
    longest_s = max(settings.token_lifetime_s, settings.script_token_max_s) + _MARGIN_S
    return secret.rotate(state_dir, time.time(), longest_s, revoke=revoke)


def lines(state_dir: Path) -> list[str]:
    """One line a key, oldest first: id, when it was made, what it does; tabs between. Raises AuthError."""
    keys = secret.load(state_dir)
    does = [*("verifies" for _ in keys.keys[1:]), "signs"]
    return [f"{name}\t{_time(at)}\t{what}" for name, at, what in zip(keys.ids, keys.times, does, strict=True)]


def _time(made_at: int) -> str:
    return f"{datetime.fromtimestamp(made_at, UTC):%Y-%m-%dT%H:%M:%SZ}" if made_at else "-"
