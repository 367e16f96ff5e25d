"""jupyter_client: AsyncKernelManager and AsyncKernelClient, used as their documentation says."""

import asyncio
import itertools
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_client.manager import AsyncKernelManager

from bench import processes
from bench.adapters.first_session import FirstSession
from bench.protocol import BenchFailed, Hear

T = TypeVar("T")
START_S = 60.0
ANSWER_S = 30.0
QUIET_S = 3.0
"""silence after which the rest of a stream is taken for lost, as for raw 0MQ"""
Message = dict[str, Any]


class JupyterClientSession:
    """One kernel. Its event loop runs only while a method does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._manager: Any = None  # whose types leave much unknown
        self._client: Any = None
        self._begun = ""

    def start(self) -> None:
        self._directory.mkdir()
        self._run(self._start(), START_S)

    def evaluate(self, code: str) -> str:
        texts: list[str] = []

        def hear(message: Message) -> None:
            if message["msg_type"] == "execute_result":
                texts.append(message["content"]["data"].get("text/plain", ""))

        self._execute(code, hear)
        return "".join(texts)

    def inspect(self, code: str) -> str:
        reply: Any = self._run(self._client.inspect(code, reply=True, timeout=ANSWER_S), ANSWER_S)
        return str(reply["content"]["data"].get("text/plain", ""))

    def complete(self, code: str) -> list[str]:
        reply: Any = self._run(self._client.complete(code, reply=True, timeout=ANSWER_S), ANSWER_S)
        return list(reply["content"]["matches"])

    def stream(self, code: str, hear: Hear | None = None) -> list[str]:
        texts: list[str] = []

        def take(message: Message) -> None:
            if message["msg_type"] == "stream":
                texts.append(message["content"]["text"])
                if hear is not None:
                    hear(texts[-1])

        msg_id = self._client.execute(code)
        self._run(self._outputs(msg_id, take, lossy=True), 4 * ANSWER_S)
        return texts

    def begin(self, code: str) -> None:
        self._begun = self._client.execute(code)
        self._run(self._until_stream(self._begun), ANSWER_S)

    def finish(self) -> None:
        self._run(self._outputs(self._begun, _ignore), ANSWER_S)

    def kernel(self) -> tuple[int, ...]:
        return (int(self.evaluate("__import__('os').getpid()")),)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        try:
            if self._client is not None:
                self._client.stop_channels()
            if self._manager is not None and self._manager.has_kernel:
                self._run(self._manager.shutdown_kernel(now=True), ANSWER_S)
            if self._manager is not None:
                self._manager.context.destroy(linger=0)
        finally:
            self._loop.close()

    async def _start(self) -> None:
        manager: Any = AsyncKernelManager(
            kernel_name="python3", connection_file=str(self._directory / "connection.json")
        )
        self._manager = manager
        with (self._directory / "stderr").open("wb") as words:
            await manager.start_kernel(
                env=processes.environment(self._directory), cwd=str(self._directory), stdout=words, stderr=words
            )
        self._client = manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=START_S)

    def _execute(self, code: str, hear: Any) -> None:
        reply: Any = self._run(
            self._client.execute_interactive(code, output_hook=hear, allow_stdin=False, timeout=ANSWER_S), ANSWER_S
        )
        if reply["content"]["status"] != "ok":
            raise BenchFailed(f"jupyter-client: the cell ended {reply['content']}")

    async def _until_stream(self, msg_id: str) -> None:
        while True:
            message: Any = await self._client.get_iopub_msg()
            if message["parent_header"].get("msg_id") == msg_id and message["msg_type"] == "stream":
                return

    async def _outputs(self, msg_id: str, hear: Any, *, lossy: bool = False) -> None:
        """Give `hear` what iopub says about a request, up to its idle; `lossy`: or to a silence of QUIET_S."""
        until = time.monotonic() + 4 * ANSWER_S
        while time.monotonic() < until:
            try:
                message: Any = await self._client.get_iopub_msg(timeout=QUIET_S if lossy else ANSWER_S)
            except Exception:  # queue.Empty, or a message that cannot be read
                if lossy:
                    return
                raise
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            hear(message)

    def _run(self, awaited: Awaitable[T], timeout_s: float) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(timeout_s):
                return await awaited

        try:
            return self._loop.run_until_complete(bounded())
        except Exception as error:
            raise BenchFailed(f"jupyter-client: {error!r}") from error


class JupyterClient(FirstSession):
    """Kernels of the stock kernelspec over loopback TCP, as jupyter_client starts them."""

    name = "jupyter-client"
    about = "AsyncKernelManager and AsyncKernelClient of jupyter_client, a stock ipykernel over tcp"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._numbers = itertools.count()

    def start(self) -> None:
        self._directory.mkdir()

    def open(self) -> JupyterClientSession:
        session = JupyterClientSession(self._directory / str(next(self._numbers)))
        self._remember(session)
        session.start()
        return session

    def close(self) -> None:
        self._close_sessions()


def _ignore(_: Message) -> None:
    pass
