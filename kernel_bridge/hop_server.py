"""The host's end of the hop: who may ask, and every call a task of its own."""

import asyncio
import hmac
import logging
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import zmq

from kernel_bridge import hop, log_context, tracing
from kernel_bridge.cell import LiveCell
from kernel_bridge.channels import Channel
from kernel_bridge.errors import BridgeError, HostUnavailable, ShuttingDown
from kernel_bridge.faults import to_fault
from kernel_bridge.service import Service
from kernel_bridge.tracing import Tracer
from kernel_bridge.waiting import WaitingCalls

FRONT_SILENCE_S = 10.0
"""a front that did not ping for this long is gone: its waits end, its cells go on"""

log = logging.getLogger("kernelwire.bridge.hop")

_decoder: msgspec.msgpack.Decoder[hop.FromFront] = msgspec.msgpack.Decoder(hop.FromFront)
_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class _Front:
    heard: float
    waits: dict[int, "asyncio.Task[None]"] = field(default_factory=dict[int, "asyncio.Task[None]"])
    """what may be left when nobody waits for it any more; everything else is done to its end"""


class HopServer:
    """Binds `address` (ipc, in a directory of ours alone); `close` ends all calls and the socket.

    A front is known from its hello or ping with the right secret; calls of others are refused unheard.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        address: Path,
        secret: bytes,
        welcome: hop.Welcome,
        service: Service,
        tracer: Tracer | None = None,
    ) -> None:
        self._secret = secret
        self._welcome = welcome
        self._service = service
        self._tracer = tracer
        self._fronts: dict[bytes, _Front] = {}
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = WaitingCalls(self._send)
        self._to_begin = 0  # tasks before their first step
        self._loop = asyncio.get_running_loop()
        socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        try:
            socket.bind(f"ipc://{address}")
        except BaseException:
            socket.close()
            raise
        self._channel = Channel(socket, self._on_frames, "hop")

    def refuse_calls(self) -> None:
        """From now on every call is answered with ShuttingDown; those under way go on."""
        self._stopping = True

    def forget_silent(self) -> None:
        """Drop fronts that have not been heard for FRONT_SILENCE_S; the host calls it now and then."""
        now = self._loop.time()
        for identity, front in list(self._fronts.items()):
            if now - front.heard > FRONT_SILENCE_S:
                del self._fronts[identity]
                self._waiting.forget(identity)
                for task in front.waits.values():
                    self._loop.call_soon(task.cancel)  # after its first step, so that it can clear up

    async def close(self) -> None:
        self._waiting.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        self._channel.close()

    def _on_frames(self, frames: list[bytes]) -> None:
        if len(frames) != 2:
            return
        identity = frames[0]
        try:
            message = _decoder.decode(frames[1])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("hop_message_malformed bytes=%d", len(frames[1]))
            self._send(identity, hop.Refused("malformed"))
            return
        match message:
            case hop.Call():
                self._on_call(identity, message)
            case hop.Hello() | hop.Ping():
                self._on_hello(identity, message)
            case hop.Cancel():
                self._waiting.cancel(identity, message.id)
                front = self._fronts.get(identity)
                task = front.waits.get(message.id) if front is not None else None
                if task is not None:
                    self._loop.call_soon(task.cancel)  # after its first step, if it came in one turn with its call

    def _on_hello(self, identity: bytes, message: hop.Hello | hop.Ping) -> None:
        if not hmac.compare_digest(message.secret, self._secret):
            log.warning("front_refused reason=secret")
            self._send(identity, hop.Refused("secret"))
        elif message.proto not in (hop.PROTO, hop.PROTO - 1):
            self._send(identity, hop.Refused(f"protocol {message.proto}: this host serves {hop.PROTO}"))
        else:
            front = self._fronts.get(identity)
            if front is None:
                front = self._fronts[identity] = _Front(self._loop.time())
                log.info("front_known version=%s", message.version)
            front.heard = self._loop.time()
            if isinstance(message, hop.Hello):
                self._send(identity, self._welcome)
            else:
                self._send(identity, hop.Pong(message.seq, self._welcome.instance))

    def _on_call(self, identity: bytes, call: hop.Call) -> None:
        front = self._fronts.get(identity)
        if front is None:
            self._send(identity, hop.Refused(hop.HELLO_FIRST))
        elif self._stopping:
            self._send(identity, hop.Reply(call.id, fault=to_fault(ShuttingDown())))
        elif self._is_stale(call):
            self._send(identity, hop.Reply(call.id, fault=to_fault(HostUnavailable())))
        elif not self._evaluated(identity, call):
            self._to_begin += 1
            task = self._loop.create_task(self._answer_in_context(identity, front, call))
            self._tasks.add(task)
            if isinstance(call.request, hop.Wait):
                front.waits[call.id] = task

    def _is_stale(self, call: hop.Call) -> bool:
        late = call.expires is not None and self._loop.time() > call.expires
        return late or call.instance not in ("", self._welcome.instance)

    def _evaluated(self, identity: bytes, call: hop.Call) -> bool:
        """Do an evaluate here and now; False if the call needs a task of its own."""
        asked = call.request
        if not isinstance(asked, hop.Evaluate) or self._to_begin:  # else it would overtake a call that came before it
            return False
        if self._tracer is not None and asked.traceparent is not None:
            return False
        with log_context.of_call(asked):
            try:
                cell = self._service.evaluate(asked)
                if cell is None:
                    return False
                if isinstance(cell, LiveCell) and asked.wait > 0:
                    self._waiting.add(identity, call.id, cell, asked.wait)
                else:
                    self._send(identity, hop.Reply(call.id, result=cell.json() if isinstance(cell, LiveCell) else cell))
            except BridgeError as error:
                self._send(identity, hop.Reply(call.id, fault=to_fault(error)))
            except Exception as error:  # the front shows a request id only; the text stays here
                log.exception("call_failed op=Evaluate")
                self._send(identity, hop.Reply(call.id, fault=to_fault(error)))
        return True

    async def _answer_in_context(self, identity: bytes, front: _Front, call: hop.Call) -> None:
        self._to_begin -= 1
        log_context.enter_call(call.request)
        try:
            await self._answer(identity, call)
        finally:
            self._forget(front, call)

    def _forget(self, front: _Front, call: hop.Call) -> None:
        """Here and not by callbacks of the task, each of which would be a turn of the event loop's."""
        front.waits.pop(call.id, None)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.discard(task)

    async def _answer(self, identity: bytes, call: hop.Call) -> None:
        try:
            if self._tracer is None:
                result = await self._service.answer(call.request)
            else:
                result = await tracing.traced(self._tracer, call.request, self._service.answer)
            self._send(identity, hop.Reply(call.id, result=result))
        except BridgeError as error:
            self._send(identity, hop.Reply(call.id, fault=to_fault(error)))
        except Exception as error:  # the front shows a request id only; the text stays here
            log.exception("call_failed op=%s", type(call.request).__name__)
            self._send(identity, hop.Reply(call.id, fault=to_fault(error)))
        except asyncio.CancelledError:  # by a Cancel, then nobody listens; or by our end, then it is said
            self._send(identity, hop.Reply(call.id, fault=to_fault(ShuttingDown())))
            raise

    def _send(self, identity: bytes, message: hop.FromHost) -> None:
        self._channel.send([identity, _encoder.encode(message)])
