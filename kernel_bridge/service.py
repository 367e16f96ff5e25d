"""What the host does for each request of the hop."""

import asyncio

import msgspec
from msgspec import Raw

from kernel_bridge import access, hop
from kernel_bridge.cell import LiveCell
from kernel_bridge.session import Session
from kernel_bridge.sessions import Sessions

_encoder = msgspec.json.Encoder()


class Service:
    """Answers requests with the JSON of their result; raises BridgeError.

    Whatever must keep the order of arrival is done before the first await of `answer`; Sessions.recovered keeps it.
    """

    def __init__(self, sessions: Sessions, version: str = "") -> None:
        """`version`: of the program, for the host's figures."""
        self._sessions = sessions
        self._version = version

    def evaluate(self, asked: hop.Evaluate) -> LiveCell | bytes | None:
        """Queue a cell at once: what has ended comes as JSON. None if it takes more: then `answer` has to do it.

        Raises BridgeError, as `answer`."""
        session = self._sessions.get_recovered(asked.caller, asked.session, access.needed(type(asked)))
        if session is None or session.record.owner != asked.caller.user_id:  # what a guest waits for can be ended
            return None
        cell = session.evaluate(asked)
        return bytes(cell) if isinstance(cell, Raw) else cell

    async def answer(self, asked: hop.AnyRequest) -> bytes:
        match asked:
            case hop.OpenSession():
                return _encoder.encode(await self._sessions.open(asked))
            case hop.Stats():
                return _encoder.encode(self._sessions.tally.stats(self._version))
            case hop.ListKernels():
                return _encoder.encode(await self._sessions.list_kernels())
            case hop.ListSessions():
                return _encoder.encode(await self._sessions.list(asked.caller, asked.limit, asked.after))
            case hop.CloseSession():
                return _encoder.encode(await self._sessions.close(asked.caller, asked.session, delete=asked.delete))
            case _:
                return await self._in_session(asked)

    async def _in_session(self, asked: "hop.InSession") -> bytes:
        session = await self._sessions.recovered(asked.caller, asked.session, access.needed(type(asked)))
        if isinstance(asked, hop.Wait) and session.record.owner != asked.caller.user_id:
            return await session.guests.stay(asked.caller.user_id, self._of_session(session, asked))
        return await self._of_session(session, asked)

    async def _of_session(self, session: Session, asked: "hop.InSession") -> bytes:
        if isinstance(asked, hop.SessionInfo):
            return _encoder.encode(session.info(access.of(session.record, asked.caller) or "read"))
        if isinstance(asked, hop.ShareSession):
            return _encoder.encode(session.share(asked))
        if isinstance(asked, hop.UnshareSession):
            return _encoder.encode(session.unshare(asked))
        if isinstance(asked, hop.OfKernel):
            return await self._of_kernel(session, asked)
        return await self._of_worksheet(session, asked)

    async def _of_worksheet(self, session: Session, asked: "hop.OfWorksheet") -> bytes:
        match asked:
            case hop.Evaluate():
                return await _waited(session.evaluate(asked), asked.wait)
            case hop.PollOutput():
                return _encoder.encode(await session.poll(asked))
            case hop.GetCell():
                return _encoder.encode(session.cell(asked.cell))
            case hop.ListCells():
                return _encoder.encode(session.worksheet.page(asked))
            case hop.History():
                return _encoder.encode(session.worksheet.history(asked))
            case hop.ExportNotebook():
                spec = await self._sessions.kernelspecs.find(session.record.kernelspec)
                return _encoder.encode(await session.notebook(spec, outputs=asked.outputs))

    async def _of_kernel(self, session: Session, asked: "hop.OfKernel") -> bytes:
        match asked:
            case hop.Complete():
                return _encoder.encode(await session.introspector.complete(asked))
            case hop.Inspect():
                return _encoder.encode(await session.introspector.inspect(asked))
            case hop.Interrupt():
                return _encoder.encode(await session.interrupt(asked.cell))
            case hop.InputReply():
                return _encoder.encode(session.answer_input(asked.id, asked.value))
            case hop.Restart():
                return _encoder.encode(await session.restart())
            case hop.CommOpen():
                return _encoder.encode(await session.comms.open(asked))
            case hop.CommMsg() | hop.CommClose():
                return _encoder.encode(await session.comms.send(asked))
            case hop.IsComplete():
                return _encoder.encode(await session.introspector.is_complete(asked))
            case hop.KernelInfo():
                return _encoder.encode(await session.introspector.kernel_info())


async def _waited(cell: LiveCell | Raw, wait_s: float) -> bytes:
    """The cell as JSON when it has ended, or as it is after `wait_s`."""
    if isinstance(cell, Raw):
        return bytes(cell)
    if wait_s > 0 and not cell.ended.is_set():
        try:
            async with asyncio.timeout(wait_s):
                await cell.ended.wait()
        except TimeoutError:
            pass
    return cell.json()
