"""0MQ's own high-water marks, at which PUB and XPUB drop messages without a word."""

from types import ModuleType
from typing import Any

import zmq

DEFAULT = 1000


def use_default(option: int) -> None:
    """Whatever this process asks for as `option`, RCVHWM or SNDHWM, it gets libzmq's default."""
    kind: Any = zmq.Socket
    plain = kind.set

    def set_option(self: Any, which: int, value: Any) -> None:
        plain(self, which, DEFAULT if which == option else value)

    kind.set = kind.setsockopt = set_option


def of_host(_: ModuleType) -> None:
    use_default(zmq.RCVHWM)


def of_kernel(_: ModuleType) -> None:
    use_default(zmq.SNDHWM)
