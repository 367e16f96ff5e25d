"""Log-in throttling: failures are counted by user and by address, and too many of them stop further tries.

The counting is `limits`' fixed window; its own storage in memory keeps every key until a timer's turn, so that here is
one which is bounded. Names are counted whether there is such a user or not, in the same words and the same time.

Counts are this front's: several fronts let as many times more through.
"""

import ipaddress
import math
import time
from collections import OrderedDict

from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from auth.errors import LoginThrottled
from auth.tokens import Clock
from auth.users import is_name

OFF = "off"
KEYS = 20_000
"""so many names and addresses are counted; the oldest one makes room"""
_IPV6_PREFIX = 64
"""what one customer has at least: addresses in there cost nothing"""


class LoginThrottle:
    """`check` before a password is looked at and after it; `failed` when it was wrong. No I/O, one event loop."""

    def __init__(self, per_user: str, per_address: str, clock: Clock = time.time, keys: int = KEYS) -> None:
        """`per_user`, `per_address`: failures, such as `20/minute` or `20/5 minutes`, or `off`.

        Raises ValueError.
        """
        self._clock = clock
        self._counts = BoundedCounts(clock, keys)
        self._windows = FixedWindowRateLimiter(self._counts)
        self._per_user = None if per_user == OFF else parse(per_user)
        self._per_address = None if per_address == OFF else parse(per_address)

    def check(self, username: str, address: str) -> None:
        """Raises: LoginThrottled when there were too many failures by now."""
        full = [(item, key) for item, key in self._keys(username, address) if not self._windows.test(item, *key)]
        if full:
            ends = max(self._windows.get_window_stats(item, *key).reset_time for item, key in full)
            raise LoginThrottled(float(max(1, math.ceil(ends - self._clock()))))

    def failed(self, username: str, address: str) -> None:
        """Count a failure."""
        for item, key in self._keys(username, address):
            self._windows.hit(item, *key)

    def _keys(self, username: str, address: str) -> "list[tuple[RateLimitItem, tuple[str, str]]]":
        found: list[tuple[RateLimitItem, tuple[str, str]]] = []
        if self._per_user is not None:
            # What no user can be called is one key for all: it must not fill the table
            found.append((self._per_user, ("user", username.lower() if is_name(username) else "")))
        if self._per_address is not None:
            found.append((self._per_address, ("address", _network(address))))
        return found


class BoundedCounts(Storage):
    """Counters that end, at most `most` of them. No thread, no timer: what has ended is dropped when it is met, or when
    room is needed."""

    STORAGE_SCHEME = None  # it is found by no URL

    def __init__(self, clock: Clock, most: int) -> None:
        super().__init__()
        self._clock = clock
        self._most = most
        self._table: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        count, ends = self._known(key) or (0, self._clock() + expiry)
        if key not in self._table and len(self._table) >= self._most:
            self._table.popitem(last=False)
        self._table[key] = (count + amount, ends)
        return count + amount

    def get(self, key: str) -> int:
        return (self._known(key) or (0, 0.0))[0]

    def get_expiry(self, key: str) -> float:
        return (self._known(key) or (0, self._clock()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        gone = len(self._table)
        self._table.clear()
        return gone

    def clear(self, key: str) -> None:
        self._table.pop(key, None)

    def _known(self, key: str) -> tuple[int, float] | None:
        found = self._table.get(key)
        if found is not None and found[1] <= self._clock():
            del self._table[key]
            return None
        return found


def _network(address: str) -> str:
    """What is counted as one place."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(found if found.version == 4 else ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
