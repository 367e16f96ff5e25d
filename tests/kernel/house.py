"""A host's sessions without its process and without a hop: what the tests of sessions and cells drive."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zmq

from kernel_bridge import hop, results, session_users
from kernel_bridge.host_lock import HostLock
from kernel_bridge.kernel_factory import KernelFactory, Place
from kernel_bridge.kernel_record import KernelRecord, read_record
from kernel_bridge.kernelspecs import Kernelspecs
from kernel_bridge.service import Service
from kernel_bridge.session_users import SessionUsers
from kernel_bridge.sessions import Sessions
from kernel_bridge.settings import BridgeSettings

R = TypeVar("R")
ALICE = hop.Caller("u-alice", "alice")
BOB = hop.Caller("u-bob", "bob")


class Event(msgspec.Struct, frozen=True):
    """One event of a page, decoded."""

    seq: int
    cell: str | None
    time: str
    type: str
    content: dict[str, Any]
    buffers: list[str] = []
    late: bool = False
    repaired: bool = False


class Calls:
    """What a front asks of a host, for whoever can pass it on."""

    async def ask(self, request: hop.Request[R]) -> R:
        raise NotImplementedError

    async def open(self, caller: hop.Caller = ALICE, **members: Any) -> str:
        return (await self.ask(hop.OpenSession(caller=caller, **members))).session

    async def evaluate(self, session: str, code: str, **members: Any) -> results.Cell:
        return await self.ask(hop.Evaluate(caller=ALICE, session=session, code=code, **members))

    async def events(self, session: str, *, cursor: int = 0, cell: str | None = None) -> list[Event]:
        """All that is in the log behind the cursor."""
        found: list[Event] = []
        while True:
            page = await self.poll(session, cursor=cursor, cell=cell, wait=0.0)
            found += decoded(page)
            if page.cursor == cursor:
                return found
            cursor = page.cursor

    async def poll(self, session: str, **members: Any) -> results.Page:
        return await self.ask(hop.PollOutput(caller=ALICE, session=session, **members))

    async def until(self, session: str, type: str, *, cursor: int = 0, **content: Any) -> Event:
        """The first event of a type (and with these members in its content) behind the cursor; at most 20 s."""
        for _ in range(200):
            page = await self.poll(session, cursor=cursor, wait=20.0)
            assert page.events, f"no {type} event came"
            for event in decoded(page):
                if event.type == type and content.items() <= event.content.items():
                    return event
            cursor = page.cursor
        raise AssertionError(f"no {type} event among many")


class House(Calls):
    """`ask` is what a front's call becomes in the host."""

    def __init__(self, root: Path, settings: BridgeSettings, sockets: Path) -> None:
        self.root = root
        self.settings = settings
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        root.mkdir(exist_ok=True)
        self.lock = HostLock(root / "host.lock")
        assert self.lock.acquire()
        specs = Kernelspecs()
        place = Place(root / "kernels", root / "workdirs", sockets, root / "host.lock")
        self.factory = factory = KernelFactory(self.context, place, specs, settings, users=self.users(sockets))
        self.sessions = Sessions(root / "sessions", "hosthost", specs, factory, settings)
        self.sessions.load()
        self.service = Service(self.sessions)

    def users(self, sockets: Path) -> SessionUsers | None:
        return None

    async def ask(self, request: hop.Request[R]) -> R:
        raw = await self.service.answer(request)  # pyright: ignore[reportArgumentType]  each Request is in AnyRequest
        answer: hop.Answer[R] = hop.Answer(raw, hop.RESULTS[type(request)])
        return answer.decode()

    def record(self, session: str) -> KernelRecord:
        """kernel.json of the session's kernel. A kernel sees another number of its own, in its PID namespace."""
        records = [read_record(path) for path in (self.root / "kernels").iterdir()]
        (found,) = [record for record in records if record is not None and record.session == session]
        return found

    async def close(self) -> None:
        await self.sessions.stop()
        if self.factory.forks is not None:
            await self.factory.forks.close()
        self.context.term()
        self.lock.release()


class HouseWithUsers(House):
    """Each session has a user of its own; where that cannot be, it is an error."""

    def users(self, sockets: Path) -> SessionUsers:
        users, why = session_users.open_users(self.root, self.settings.limits, self.settings.sandbox)
        assert users is not None, why
        session_users.open_way(self.root, sockets)
        return users


def decoded(page: results.Page) -> list[Event]:
    return [msgspec.json.decode(line, type=Event) for line in page.events]


@asynccontextmanager
async def house(root: Path, *, kind: type[House] = House, **settings: Any) -> AsyncGenerator[House]:
    """A House whose kernels are gone at the end; its sockets lie in a short directory, as a path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="kw-", dir="/tmp") as sockets:
        settings.setdefault("fork_server", False)  # it would import for longer than most tests run
        settings.setdefault("pool", 0)
        made = kind(root, BridgeSettings(**settings), Path(sockets))
        try:
            yield made
        finally:
            await made.close()
            left = [path.name for path in Path(sockets).iterdir()]
            assert not left, f"sockets left: {left}"
            kernels = root / "kernels"
            assert not kernels.is_dir() or not list(kernels.iterdir()), "kernel records left"
