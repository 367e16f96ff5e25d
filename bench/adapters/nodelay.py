"""Run a module as `python -m` does, with TCP_NODELAY on every connection that tornado's HTTP server accepts.

Run by path in the peers' own environment: `python nodelay.py MODULE ARGUMENT...`. tornado itself takes the option back
when a request has been answered (HTTP1Connection), also that which opened a WebSocket, so here it can only be set.
"""

import runpy
import sys
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

_stream: Any = IOStream
_server: Any = HTTPServer
_set = _stream.set_nodelay
_accepted = _server.handle_stream


def _set_for_good(self: IOStream, _: bool) -> None:
    _set(self, True)


def _accept(self: HTTPServer, stream: Any, address: Any) -> None:
    stream.set_nodelay(True)
    _accepted(self, stream, address)


_stream.set_nodelay = _set_for_good
_server.handle_stream = _accept
sys.argv = sys.argv[1:]
sys.path.pop(0)  # this folder: adapters are no modules of the server's
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
