"""A system's first session, and all others that it opened."""

import contextlib
import threading

from bench.protocol import BenchFailed, Hear, Processes, Session


class FirstSession:
    """The base of every system: calls without a session go to the first one, which is opened when it is needed."""

    name: str
    about: str

    def __init__(self) -> None:
        self._first: Session | None = None
        self._opened: list[Session] = []
        self._lock = threading.Lock()

    @property
    def session(self) -> Session:
        if self._first is None:
            self._first = self.open()
        return self._first

    def open(self) -> Session:
        raise NotImplementedError

    def servers(self) -> dict[str, tuple[int, ...]]:
        return {}

    def processes(self) -> Processes:
        return Processes(tuple(pid for pids in self.servers().values() for pid in pids), self.kernel()[0])

    def evaluate(self, code: str) -> str:
        return self.session.evaluate(code)

    def inspect(self, code: str) -> str:
        return self.session.inspect(code)

    def complete(self, code: str) -> list[str]:
        return self.session.complete(code)

    def stream(self, code: str, hear: Hear | None = None) -> list[str]:
        return self.session.stream(code, hear)

    def begin(self, code: str) -> None:
        self.session.begin(code)

    def finish(self) -> None:
        self.session.finish()

    def kernel(self) -> tuple[int, ...]:
        return self.session.kernel()

    def _remember(self, session: Session) -> None:
        """Note a session before its kernel is started, so that `_close_sessions` ends it whatever happens."""
        with self._lock:
            self._opened.append(session)

    def _close_sessions(self) -> None:
        self._first = None
        with self._lock:
            opened, self._opened = self._opened, []
        for session in opened:
            with contextlib.suppress(BenchFailed):
                session.close()
