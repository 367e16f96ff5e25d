"""Starts a Jupyter kernel as `python -m MODULE` does, with what kernelwire needs built in.

    PYTHON launcher.py MODULE [ARGUMENT...]

It runs by path in the kernelspec's own interpreter, which has none of our packages: the standard library
(Python >= 3.9) and the ipykernel (>= 6) and IPython that are there must do, in this one file. It changes base
classes before MODULE runs, so that subclasses (Sage's kernel) inherit everything:

- iopub never drops a message, and sends none that is larger than the host stores;
- output is flushed where there is some, that of descriptors before the end of its cell too;
- history off and no sleep after a cell, unless the user's configuration says otherwise;
- `inspect_reply.metadata["kernelwire"]`: name, docstring, source, signature, file as data;
- completion from live objects first, jedi when they give nothing, with types found without running user code;
- the control request `kernelwire_sync`, by which a new host learns what the last one missed.

What is in force shows in `kernel_info_reply.supported_features` as "kernelwire", "kernelwire lossless",
"kernelwire inspect" and "kernelwire sync". What this ipykernel does not allow is left out; the kernel starts.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # our own folder: a cell's `import session` must not find our modules

import ast
import builtins
import contextlib
import fcntl
import functools
import inspect
import json
import keyword
import os
import re
import runpy
import select
import termios
import textwrap
import threading
import time
import traceback
import types
from importlib import import_module
from typing import Any

STREAM_CHARACTERS = 1 << 20
"""Longest text of one stream message."""
FLUSH_S = 0.05
"""How long printed text waits for more. ipykernel has 0.2 s: as much is lost when the kernel is killed."""
MAX_EVENT_BYTES = "KERNELWIRE_MAX_EVENT_BYTES"
"""Environment variable: content and buffers of an iopub message that is sent whole."""
OMITTED = "kernelwire_omitted"
"""msg_type in place of a larger one: content `{"bytes", "mime"}`."""
TEXT_MAX_BYTES = 1 << 20
"""Longest text of a structured inspection, as UTF-8."""
KNOWN_FUNCTIONS = 16
"""Whose parameters are remembered."""
PIPE_BYTES = 1 << 16
"""Read at once of what was written to a descriptor; what a pipe holds."""
FLUSH_AGAIN_S = 0.05
"""How long a flush is repeated while a descriptor holds output: who writes without end must not hold it up."""
REPLIES_KEPT = 16
REPLY_MAX_CHARS = 1 << 18
"""Longest execute_reply (as JSON) that is kept whole for `kernelwire_sync`."""
TYPED_MATCHES = 200
TYPES_CPU_S = 0.0015
"""CPU time that the types of one completion may cost; matches beyond it have none."""


class PerThread(threading.local):
    """What a request leaves for the code below it in its own thread: completion and inspection run on a
    subshell's thread while a cell, which may complete or inspect too, runs on the main one."""

    live = False
    """completion without jedi is under way"""
    info: Any = None
    """the newest answer of IPython's Inspector.info"""


def lookup(mapping: Any, name: str, default: Any) -> Any:
    """`mapping[name]` of a dict, past the methods of its subclass; `default` when it is not there."""
    return dict[str, Any].get(mapping, name, default)


def type_of(value: Any) -> Any:
    return type(value)  # pyright: ignore[reportUnknownVariableType]


# -- lossless iopub, defaults ------------------------------------------------------------------------------------


def install_lossless(app_class: Any, in_force: set[str]) -> None:
    """No high-water mark on iopub, set before bind (later it has no effect on pipes that exist): XPUB drops what
    is above it, a reader that pauses for 1,000 messages loses the rest and the idle status with it."""
    zmq = import_module("zmq")
    bind = app_class._bind_socket

    @functools.wraps(bind)
    def bind_socket(self: Any, socket: Any, port: int) -> Any:
        if socket.type in (zmq.XPUB, zmq.PUB):
            socket.set(zmq.SNDHWM, 0)
            in_force.add("kernelwire lossless")
        return bind(self, socket, port)

    app_class._bind_socket = bind_socket


def install_small_streams(stream_class: Any) -> None:
    """ipykernel sends whatever was printed since the last flush as one message: a flood made some of 100 MB, and who
    reads them can do nothing else meanwhile."""
    flush_buffers = stream_class._flush_buffers

    @functools.wraps(flush_buffers)
    def _flush_buffers(self: Any) -> Any:
        for parent, text in flush_buffers(self):
            for start in range(0, max(len(text), 1), STREAM_CHARACTERS):
                yield parent, text[start : start + STREAM_CHARACTERS]

    stream_class._flush_buffers = _flush_buffers


def install_quick_flush(stream_class: Any) -> None:
    """Text is seen sooner, and what was printed before the kernel is killed has left it; the lowest value wins."""
    stream_class.flush_interval = min(stream_class.flush_interval, FLUSH_S)


def waits_in(descriptor: int) -> bool:
    """Whether there are bytes to be read in a pipe."""
    return fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)) != bytes(4)


def holds_output(stream: Any) -> bool:
    """Whether a watched descriptor has output that is not in the stream's buffers yet."""
    return stream._should_watch and (waits_in(stream._fid) or stream.taking)


def is_clear(stream: Any) -> bool:
    """Whether nothing that was printed waits to be sent, or is about to be: the places in the order of its way."""
    if stream.pub_thread is None or stream.echo is not None:
        return False
    return not (holds_output(stream) or stream._buffers or stream.sending)


def install_cheap_flush(stream_class: Any) -> None:
    """ipykernel flushes six times a cell, and waits each time for IOPubThread: a quarter of the CPU time of a cell that
    prints nothing, for nothing. Here a flush without anything to be sent returns at once.

    What is printed goes from the descriptor's pipe, if it was written there, to `_buffers`, to the queue of
    IOPubThread. Each place is asked in this order, so text on its way is not missed; `taking` and `sending` say that
    it is in the hands of a thread. What still waits in the pipe is flushed again: ipykernel leaves it to chance whether
    such output comes before the end of its cell.
    """
    flush, flush_now = stream_class.flush, stream_class._flush
    stream_class.taking, stream_class.sending = False, 0

    @functools.wraps(flush)
    def flush_what_there_is(self: Any) -> None:
        if is_clear(self):
            return
        flush(self)
        until = time.monotonic() + FLUSH_AGAIN_S
        while holds_output(self) and time.monotonic() < until:
            flush(self)

    @functools.wraps(flush_now)
    def _flush(self: Any) -> None:  # in IOPubThread, or where that does not run
        self.sending += 1
        try:
            flush_now(self)
        finally:
            self.sending -= 1

    stream_class.flush, stream_class._flush = flush_what_there_is, _flush
    stream_class._watch_pipe_fd = functools.wraps(stream_class._watch_pipe_fd)(watch_descriptor)


def watch_descriptor(stream: Any) -> None:
    """ipykernel's own loop in the thread of a watched descriptor, but that it says when it takes something."""
    if stream._fid is None:
        return
    poll = select.poll()
    poll.register(stream._fid, select.POLLIN)
    try:
        while stream._should_watch:
            poll.poll()
            stream.taking = True  # before the bytes leave the pipe
            try:
                data = os.read(stream._fid, PIPE_BYTES)
                if not data or not stream._should_watch:
                    return
                stream.write(data.decode(errors="replace"))
            finally:
                stream.taking = False
            os.write(stream._original_stdstream_copy, data)
    except Exception:
        stream._exc = sys.exc_info()


def install_few_wakes(thread_class: Any) -> None:
    """Each message that goes out wakes IOPubThread, and the first wake already has it send all that waits: the wakes
    that belong to the same messages are taken with it, each of which would be a turn of its event loop for nothing."""
    again, noblock = (getattr(import_module("zmq"), name) for name in ("Again", "NOBLOCK"))
    handle_event = thread_class._handle_event

    @functools.wraps(handle_event)
    def _handle_event(self: Any, msg: Any) -> None:
        receive = self._event_puller.socket.recv
        with contextlib.suppress(again):
            for _ in range(len(self._events)):  # an event is there before its wake: none is left without one
                receive(noblock)
        handle_event(self, msg)

    thread_class._handle_event = _handle_event


def install_known_parameters(module: Any) -> None:
    """ipykernel asks inspect.signature at each cell whether run_cell takes an id: once for each function is enough."""
    ask = module._accepts_parameters
    known: dict[Any, Any] = {}

    @functools.wraps(ask)
    def _accepts_parameters(meth: Any, param_names: Any) -> Any:
        function = getattr(meth, "__func__", None)
        if function is None:
            return ask(meth, param_names)
        key = (function, *param_names)
        found = known.get(key)
        if found is None:
            if len(known) >= KNOWN_FUNCTIONS:
                known.clear()
            found = known[key] = ask(meth, param_names)
        return dict(found)

    module._accepts_parameters = _accepts_parameters


def nbytes(frame: Any) -> int:
    return memoryview(frame).nbytes


def largest_mime(content: bytes) -> str | None:
    """The type that takes most room in the MIME bundle of a message; None if it has none."""
    try:
        data = json.loads(content)["data"]
        sizes = {mime: len(data[mime] if isinstance(data[mime], str) else json.dumps(data[mime])) for mime in data}
        return max(sizes, key=lambda mime: sizes[mime])[:256]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class BoundedSender:
    """What a Session sends to in place of an iopub socket: a message that the host would not store is not sent either,
    only what it was. Streams are bounded already, and the host splits them."""

    def __init__(self, session: Any, socket: Any, max_bytes: int) -> None:
        self.session, self.socket, self.max_bytes = session, socket, max_bytes

    def send_multipart(self, frames: list[Any], *args: Any, **kwargs: Any) -> Any:
        if sum(map(nbytes, frames)) > self.max_bytes:
            frames = self.bounded(frames)
        return self.socket.send_multipart(frames, *args, **kwargs)

    def bounded(self, frames: list[Any]) -> list[Any]:
        at = frames.index(b"<IDS|MSG>")
        header, parent, _, content = frames[at + 2 : at + 6]
        size = sum(map(nbytes, frames[at + 5 :]))
        about = self.session.unpack(header)
        if size <= self.max_bytes or about["msg_type"] == "stream":
            return frames
        about["msg_type"] = OMITTED
        pack = self.session.pack
        parts = [pack(about), parent, b"{}", pack({"bytes": size, "mime": largest_mime(content)})]
        return [*frames[: at + 1], self.session.sign(parts), *parts]


def install_bounded_messages(session_class: Any, sockets: tuple[Any, ...], max_bytes: int) -> None:
    """The host holds several messages that it could not store yet: of any size, they would be any amount of memory."""
    send = session_class.send

    @functools.wraps(send)
    def send_bounded(self: Any, stream: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(stream, sockets):
            stream = BoundedSender(self, stream, max_bytes)
        return send(self, stream, *args, **kwargs)

    session_class.send = send_bounded


def install_surrogates(session_class: Any) -> None:
    """A lone surrogate makes jupyter_client's packer raise, and what was printed beside it is lost: escape it instead,
    the host mends it and says so."""
    init = session_class.__init__

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        pack = self.pack

        def pack_all(message: Any) -> bytes:
            try:
                return bytes(pack(message))
            except UnicodeEncodeError:
                return json.dumps(message, default=str).encode("ascii")

        self.pack = pack_all

    session_class.__init__ = __init__


def prefer(config: Any, configurable: Any, section: str, name: str, value: object) -> None:
    """Set `name` in a section of a traitlets Config unless some section that `configurable` obeys has it."""
    if not any(name in lookup(config, base.__name__, ()) for base in configurable.__mro__):
        config[section][name] = value


def install_defaults(app_class: Any) -> None:
    """History off, no sleep after a cell, no watch on the parent, which is the shim's task.

    The sleep is not needed for order: every iopub message, `idle` too, goes through the one queue of IOPubThread.
    OutStream.flush returns when that thread has run `_flush`, which has put the text into the queue, and `idle` is
    queued after the flush. The sleep only makes it likelier that the reply, on another socket, is read after the
    output; whoever waits for reply and idle does not care.
    """
    history_class = import_module("IPython.core.history").HistoryManager
    init_kernel, init_poller = app_class.init_kernel, app_class.init_poller

    @functools.wraps(init_kernel)
    def init_kernel_with_defaults(self: Any) -> Any:
        prefer(self.config, history_class, "HistoryManager", "enabled", False)
        prefer(self.config, self.kernel_class, "Kernel", "_execute_sleep", 0.0)
        return init_kernel(self)

    @functools.wraps(init_poller)
    def init_poller_without_parent(self: Any) -> Any:
        self.parent_handle = 1  # ipykernel's word for: a parent that never goes away
        return init_poller(self)

    app_class.init_kernel = init_kernel_with_defaults
    app_class.init_poller = init_poller_without_parent


# -- a quick start -----------------------------------------------------------------------------------------------


def install_quick_command_line(app_class: Any) -> None:
    """`-f FILE`, all that most kernelspecs say, is understood without a parser of all options: 4 ms of a start."""
    config_class = import_module("traitlets.config").Config
    parse = app_class.parse_command_line

    def is_usual(app: Any, words: list[str]) -> bool:
        known = app.aliases.get("f") == "IPKernelApp.connection_file"
        return known and len(words) == 2 and words[0] == "-f" and words[1].startswith("/")

    @functools.wraps(parse)
    def parse_command_line(self: Any, argv: Any = None) -> Any:
        words = sys.argv[1:] if argv is None else list(argv)
        if "_ARGCOMPLETE" in os.environ or not is_usual(self, words):
            return parse(self, argv)
        self.argv = words
        self.cli_config = config_class({"IPKernelApp": {"connection_file": words[1]}})
        self.extra_args = []
        return self.update_config(self.cli_config)

    app_class.parse_command_line = parse_command_line


def install_quick_configuration(configurable_class: Any) -> None:
    """Thirty objects of a kernel each look for their own part in a configuration that says nothing of most of them:
    know by the names that are in it, 3 ms of a start."""
    load, find = configurable_class._load_config, configurable_class._find_my_config
    section_names = configurable_class.section_names.__func__
    handler = configurable_class.__dict__["_config_changed"]
    changed = handler.func
    own: dict[Any, Any] = {}
    """by class: the names of its sections; None if it has its own ways"""

    def names_in(config: Any) -> set[str]:
        names: set[str] = set(dict[str, Any].keys(config))
        for value in dict[str, Any].values(config):
            if isinstance(value, dict):
                names |= names_in(value)
        return names

    def is_for(configurable: Any, config: Any) -> bool:
        kind = type_of(configurable)
        if kind not in own:
            methods = kind._load_config, kind._find_my_config, kind.section_names.__func__
            usual = methods == (quick_load, find, section_names)
            own[kind] = frozenset(kind.section_names()) if usual else None
        return own[kind] is None or not isinstance(config, dict) or not own[kind].isdisjoint(names_in(config))

    @functools.wraps(load)
    def quick_load(self: Any, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        return load(self, cfg, *args, **kwargs) if is_for(self, cfg) else None

    @functools.wraps(changed)
    def quick_changed(self: Any, change: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(change, dict) and not is_for(self, lookup(change, "new", None)):
            return None
        return changed(self, change, *args, **kwargs)

    configurable_class._load_config = quick_load
    handler.func = quick_changed


# -- structured inspection ---------------------------------------------------------------------------------------


def bounded(text: Any) -> str | None:
    """A text that fits into JSON and TEXT_MAX_BYTES; None for anything else. Runs no method of a str subclass."""
    if not issubclass(type(text), str):
        return None
    data = str.encode(text, "utf-8", "replace")
    return data[:TEXT_MAX_BYTES].decode("utf-8", "ignore")


def docstring_in(source: Any) -> str | None:
    """IPython leaves out the docstring when the source shows it: take it from there, again without running anything."""
    try:
        (node,) = ast.parse(textwrap.dedent(source)).body
        return ast.get_docstring(node)  # pyright: ignore[reportArgumentType]  (TypeError for other nodes)
    except (SyntaxError, ValueError, TypeError, RecursionError):
        return None


def inspection(info: dict[str, Any], detail_level: int) -> dict[str, str | None]:
    """The plain facts of IPython's info dictionary; all of them texts within TEXT_MAX_BYTES, or None."""
    source = bounded(info.get("source")) if detail_level else None
    docstring = bounded(info.get("docstring"))
    file = bounded(info.get("file"))
    if docstring is None and source is not None:
        docstring = bounded(docstring_in(source))
    return {
        "name": bounded(info.get("name")),
        "docstring": None if docstring == "<no docstring>" else docstring,
        "source": source,
        "signature": bounded(info.get("definition") or info.get("init_definition") or info.get("call_def")),
        # IPython puts a sentence there for generated functions
        "file": os.path.expanduser(file) if file and file[0] in "/~" else None,
    }


def install_inspection(kernel_class: Any, per_thread: PerThread, in_force: set[str]) -> None:
    """The facts are overheard from the Inspector while `?` is answered, so that no user code runs a second time."""
    inspector_class = import_module("IPython.core.oinspect").Inspector
    name = "_info" if hasattr(inspector_class, "_info") else "info"  # IPython 7 has the first below `?`
    info, do_inspect = getattr(inspector_class, name), kernel_class.do_inspect

    @functools.wraps(info)
    def overheard_info(self: Any, *args: Any, **kwargs: Any) -> Any:
        per_thread.info = None
        per_thread.info = result = info(self, *args, **kwargs)
        return result

    @functools.wraps(do_inspect)
    def do_inspect_as_data(self: Any, code: str, cursor_pos: int, *args: Any, **kwargs: Any) -> Any:
        per_thread.info = None
        reply = do_inspect(self, code, cursor_pos, *args, **kwargs)
        try:
            if per_thread.info is not None and reply["found"]:
                detail_level = args[0] if args else kwargs.get("detail_level", 0)
                reply["metadata"]["kernelwire"] = inspection(per_thread.info, detail_level)
        except Exception:
            self.log.exception("no structured inspection")
        finally:
            per_thread.info = None
        return reply

    setattr(inspector_class, name, overheard_info)
    kernel_class.do_inspect = do_inspect_as_data
    in_force.add("kernelwire inspect")


# -- static look-ups: nothing here may run user code -------------------------------------------------------------
# Hence issubclass(type(x), ...) in place of isinstance, which asks for x.__class__, and no repr of unknown objects.

MISSING: Any = object()
FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
)
OWNER = re.compile(r"(?:^|[^\w.)\]}'\"])((?:[^\W\d]\w*\.)*)\Z")
"""The dotted plain names (`a.b.`, or nothing) that a text to complete begins with."""
TEXT_SELF = re.compile(r"^\(\$\w+(?:, /)?(?:, )?")


def static_type(raw: Any) -> str:
    """jedi's word for what inspect.getattr_static has found."""
    kind = type_of(raw)
    if issubclass(kind, types.ModuleType):
        return "module"
    if issubclass(kind, type):
        return "class"
    if kind in FUNCTIONS or issubclass(kind, (staticmethod, classmethod)):
        return "function"
    if type.__getattribute__(kind, "__name__") == "cython_function_or_method":
        return "function"
    if kind is not types.MemberDescriptorType and inspect.getattr_static(kind, "__get__", None) is not None:
        return "property"
    return "instance"


def shown_default(value: Any) -> str:
    """repr of small built-in values, `...` for all others: theirs is user code."""
    kind = type_of(value)
    small = kind in (type(None), bool, float)
    if kind is int:
        small = int.bit_length(value) <= 64
    elif kind in (str, bytes):
        small = len(value) <= 40
    return repr(value) if small else "..."


def function_signature(function: Any, skip_first: bool) -> str:
    """`(a, b=1, *args, c, **kw)` from a Python function's code object; annotations are left out (their repr is
    user code)."""
    for _ in range(16):  # functools.wraps, as inspect.signature does; bounded because cycles are possible
        wrapped = lookup(function.__dict__, "__wrapped__", None)
        if type(wrapped) is not types.FunctionType:
            break
        function = wrapped
    code = function.__code__
    positional = list(code.co_varnames[: code.co_argcount])
    after = code.co_argcount + code.co_kwonlyargcount
    keyword_only = code.co_varnames[code.co_argcount : after]
    defaults = function.__defaults__ or ()
    kw_defaults: dict[str, Any] = function.__kwdefaults__ or {}
    shown = list(positional)
    for position, value in enumerate(defaults, len(positional) - len(defaults)):
        shown[position] += "=" + shown_default(value)
    if code.co_posonlyargcount:
        shown.insert(code.co_posonlyargcount, "/")
    if skip_first and positional:
        del shown[: 2 if shown[1:2] == ["/"] else 1]
    if code.co_flags & inspect.CO_VARARGS:
        shown.append("*" + code.co_varnames[after])
        after += 1
    elif keyword_only:
        shown.append("*")
    shown += [f"{name}={shown_default(kw_defaults[name])}" if name in kw_defaults else name for name in keyword_only]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        shown.append("**" + code.co_varnames[after])
    return f"({', '.join(shown)})"


def class_signature(cls: type) -> str | None:
    """The parameters of a class's own __init__ or __new__; None where a metaclass or C code decides."""
    static = inspect.getattr_static
    if static(type(cls), "__call__") is not type.__dict__["__call__"]:
        return None
    init, new = static(cls, "__init__"), static(cls, "__new__")
    if type(init) is types.FunctionType:
        return function_signature(init, skip_first=True)
    if type(new) is staticmethod and type(new.__func__) is types.FunctionType:
        return function_signature(new.__func__, skip_first=True)
    if init is object.__dict__["__init__"] and new is object.__dict__["__new__"]:
        return "()"
    return text_signature(type.__dict__["__text_signature__"].__get__(cls))


def text_signature(text: Any) -> str | None:
    """A built-in's `__text_signature__` without its first parameter ($self, $module)."""
    return TEXT_SELF.sub("(", text) if type(text) is str else None


def static_signature(raw: Any, bound: bool) -> str | None:
    """The signature of a real function, built-in or class; `bound`: found in the class of an instance."""
    if type(raw) in (staticmethod, classmethod):
        raw, bound = raw.__func__, type(raw) is classmethod
    elif type(raw) is types.MethodType:
        raw, bound = raw.__func__, True
    if type(raw) is types.FunctionType:
        return function_signature(raw, skip_first=bound)
    if type(raw) in FUNCTIONS:
        return text_signature(raw.__text_signature__)
    return class_signature(raw) if issubclass(type(raw), type) else None


class StaticNames:
    """Looks dotted names up in namespaces, without calling properties, `__getattr__` or anything of the user's."""

    def __init__(self, namespaces: list[Any]) -> None:
        self.namespaces = [space for space in namespaces if issubclass(type(space), dict)]
        self.owners: dict[tuple[str, ...], Any] = {}

    def attribute(self, path: tuple[str, ...]) -> Any:
        """What the names lead to, as getattr_static gives it (a property stays one); MISSING when unknown."""
        if len(path) == 1:
            found = (lookup(space, path[0], MISSING) for space in self.namespaces)
            return next((raw for raw in found if raw is not MISSING), MISSING)
        owner = self.owner(path[:-1])
        if type(owner) is types.ModuleType:  # the same, 10 times faster
            return lookup(owner.__dict__, path[-1], MISSING)
        return MISSING if owner is MISSING else inspect.getattr_static(owner, path[-1], MISSING)

    def owner(self, path: tuple[str, ...]) -> Any:
        """As `attribute`, but MISSING for descriptors: what they would give is not known statically."""
        if path not in self.owners:
            raw = self.attribute(path)
            descriptor = inspect.getattr_static(type_of(raw), "__get__", None) is not None
            self.owners[path] = MISSING if descriptor and len(path) > 1 else raw
        return self.owners[path]

    def signature(self, path: tuple[str, ...], raw: Any) -> str | None:
        bound = False
        if len(path) > 1 and type(raw) is types.FunctionType:
            kind = type_of(self.owner(path[:-1]))
            bound = not issubclass(kind, type) and inspect.getattr_static(kind, path[-1], MISSING) is raw
        return static_signature(raw, bound)


# -- completion --------------------------------------------------------------------------------------------------


def without_dot(reply: dict[str, Any], matches: list[dict[str, Any]], code: str) -> None:
    """IPython replaces `.pa` by `.path`: make it `pa` by `path`, which means the same and is what is typed."""
    start = reply["cursor_start"]
    if code[start : start + 1] == "." and all(match["text"].startswith(".") for match in matches):
        reply["cursor_start"] = start + 1
        reply["matches"] = [text[1:] for text in reply["matches"]]
        for match in matches:
            match["start"], match["text"] = start + 1, match["text"][1:]


def add_types(matches: list[dict[str, Any]], code: str, names: StaticNames) -> None:
    """Type and signature of live matches; None where they are not known."""
    deadline = time.thread_time() + TYPES_CPU_S
    line = code[: matches[0]["start"]].rpartition("\n")[2] if matches else ""
    prefix = OWNER.search(line)
    for position, match in enumerate(matches):
        told, match["signature"] = match["type"], None
        if told not in ("attribute", "variable", "<unknown>", None, ""):
            continue  # magic, path, dict key, param: IPython knows best
        match["type"] = None
        if position >= TYPED_MATCHES or prefix is None or time.thread_time() > deadline:
            continue
        path = tuple((prefix[1] + match["text"]).split("."))
        raw = names.attribute(path)
        if raw is not MISSING:
            match["type"], match["signature"] = static_type(raw), names.signature(path, raw)
        elif keyword.iskeyword(match["text"]):
            match["type"] = "keyword"
        elif match["text"].startswith("%"):
            match["type"] = "magic"


def forbid_jedi_to_run_code() -> None:
    """By default it calls __getattr__, __getitem__ and properties of the user's objects; what is left is that it asks
    them for `__wrapped__`. Once: who switches it on again has it on. Source: jedi.settings."""
    with contextlib.suppress(ImportError):
        import_module("jedi").settings.allow_unsafe_interpreter_executions = False


def install_completion(kernel_class: Any, per_thread: PerThread) -> None:
    """Live objects first (3 ms), jedi (100 ms) when they give nothing and the user has not switched it off.

    The setting itself is never touched: the thread that completes live reads it as False. jedi is not imported
    ahead of need: few completions come to it, and cells that run meanwhile take twice their time for half a second.
    """
    trait = import_module("IPython.core.completer").Completer.__dict__["use_jedi"]
    plain = type_of(trait)
    do_complete = kernel_class.do_complete
    keep_jedi_safe = functools.cache(forbid_jedi_to_run_code)

    def get(self: Any, obj: Any, cls: Any = None) -> bool:
        return not per_thread.live and plain.get(self, obj, cls)

    def live_complete(kernel: Any, code: str, cursor_pos: int) -> dict[str, Any]:
        per_thread.live = True
        try:
            reply = do_complete(kernel, code, cursor_pos)
        finally:
            per_thread.live = False
        matches = reply["metadata"].get("_jupyter_types_experimental", [])
        without_dot(reply, matches, code)
        shell = kernel.shell
        add_types(matches, code, StaticNames([shell.user_ns, shell.user_global_ns, builtins.__dict__]))
        return reply

    @functools.wraps(do_complete)
    def do_complete_live_first(self: Any, code: str, cursor_pos: int) -> Any:
        cursor_pos = len(code) if cursor_pos is None else cursor_pos  # pyright: ignore[reportUnnecessaryComparison]
        try:
            reply = live_complete(self, code, cursor_pos)
            if reply["matches"] or not self.shell.Completer.use_jedi:
                return reply
        except Exception:
            self.log.exception("no live completion")
        keep_jedi_safe()
        reply = do_complete(self, code, cursor_pos)
        for match in reply["metadata"].get("_jupyter_types_experimental", []):
            match["type"] = None if match["type"] == "<unknown>" else match["type"]
            match["signature"] = match.get("signature") or None
        return reply

    trait.__class__ = type(plain.__name__, (plain,), {"get": get})
    kernel_class.do_complete = do_complete_live_first


# -- kernelwire_sync ---------------------------------------------------------------------------------------------


class Journal:
    """Which cell of the main shell runs, and the last replies. Written by the main thread, read by control's;
    both members are replaced as a whole, so no lock is needed."""

    def __init__(self) -> None:
        self.running: dict[str, Any] | None = None
        self.replies: tuple[dict[str, Any], ...] = ()

    def record(self, msg_id: str, content: dict[str, Any], metadata: dict[str, Any]) -> None:
        reply = {"msg_id": msg_id, "content": whole_or_short(content), "metadata": metadata}
        self.replies = (*self.replies[1 - REPLIES_KEPT :], reply)

    def snapshot(self) -> dict[str, Any]:
        """`running` is read before `replies`: a cell that ends meanwhile is in both, never in neither."""
        running = self.running
        return {"running": running, "replies": list(self.replies)}


def whole_or_short(content: dict[str, Any]) -> dict[str, Any]:
    """The content of an execute_reply, without its long parts (and `truncated`) if it is over REPLY_MAX_CHARS."""
    try:
        if len(json.dumps(content)) <= REPLY_MAX_CHARS:
            return content
    except (TypeError, ValueError):
        pass  # not plain JSON, so of unknown size
    short = {name: content[name] for name in ("status", "execution_count", "ename") if name in content}
    if "evalue" in content:
        short.update(evalue=content["evalue"][:4096], traceback=[])
    return {**short, "user_expressions": {}, "payload": [], "truncated": True}


def pending_input(code: types.CodeType) -> dict[str, Any] | None:
    """The input() or getpass() that waits for its answer now: whoever is inside Kernel._input_request, whose code
    this is. Seen from outside because a wrapper around it would show in the user's traceback of an interrupt."""
    stacks = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
    main = stacks.pop(threading.main_thread().ident or 0, None)
    for top in (main, *stacks.values()):
        frame = top
        while frame is not None:
            if frame.f_code is code:
                names = frame.f_locals
                prompt, password = str(names["prompt"]), bool(names["password"])
                return {"msg_id": names["parent"]["header"]["msg_id"], "prompt": prompt, "password": password}
            frame = frame.f_back
    return None


def answer_failure(kernel: Any, stream: Any, ident: Any, parent: dict[str, Any], error: Exception) -> None:
    """The error and the reply of a cell that IPython could not run, or not end: it leaves such a cell without any. A
    cell that set `sys.stdout` to what nothing can be written to does this to all that come after it."""
    for name in ("stdout", "stderr"):
        if not callable(getattr(getattr(sys, name, None), "write", None)):
            setattr(sys, name, getattr(kernel, f"_{name}"))
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    content = {"ename": type(error).__name__, "evalue": str(error), "traceback": "".join(lines).splitlines()}
    if not parent["content"].get("silent"):
        kernel.send_response(kernel.iopub_socket, "error", content)
    count = kernel.execution_count
    reply: dict[str, Any] = {
        "status": "error",
        **content,
        "execution_count": count,
        "user_expressions": {},
        "payload": [],
    }
    metadata = kernel.finish_metadata(parent, kernel.init_metadata(parent), reply)
    kernel.session.send(stream, "execute_reply", reply, parent, metadata=metadata, ident=ident)


def keep_journal(kernel: Any) -> None:
    """Record the cells of one kernel's main shell, and let its control channel answer `kernelwire_sync`."""
    journal = Journal()
    execute_request, finish_metadata = kernel.shell_handlers["execute_request"], kernel.finish_metadata
    input_code = kernel._input_request.__func__.__code__
    answered = threading.local()  # the last cell of this thread whose reply was made

    async def journaled_execute_request(stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        header = parent["header"]
        on_main = header.get("subshell_id") is None
        if on_main:
            running = {"msg_id": header["msg_id"]}
            if getattr(kernel, "shell", None) is not None and not parent["content"].get("silent"):
                running["execution_count"] = kernel.execution_count
            journal.running = running
        try:
            result = execute_request(stream, ident, parent)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            if header["msg_id"] != getattr(answered, "msg_id", None):
                answer_failure(kernel, stream, ident, parent, error)
            raise  # ipykernel writes it to its log
        finally:
            if on_main:
                journal.running = None

    def recording_finish_metadata(parent: dict[str, Any], metadata: Any, content: dict[str, Any]) -> Any:
        # called with the finished content just before the reply is sent: sent first, it could be lost unrecorded
        metadata = finish_metadata(parent, metadata, content)
        header = parent["header"]
        answered.msg_id = header["msg_id"]
        if header["msg_type"] == "execute_request" and header.get("subshell_id") is None:
            journal.record(header["msg_id"], content, metadata)
        return metadata

    async def kernelwire_sync(stream: Any, ident: Any, parent: Any) -> None:
        content = {"status": "ok", **journal.snapshot(), "input": pending_input(input_code)}
        kernel.session.send(stream, "kernelwire_sync_reply", content, parent, ident)

    kernel.control_handlers["kernelwire_sync"] = kernelwire_sync
    kernel.finish_metadata = recording_finish_metadata
    kernel.shell_handlers["execute_request"] = journaled_execute_request


def install_sync(base_class: Any, in_force: set[str]) -> None:
    init = base_class.__init__

    @functools.wraps(init)
    def init_with_journal(self: Any, **kwargs: Any) -> None:
        init(self, **kwargs)
        attempt("kernelwire_sync", keep_journal, self)
        if "kernelwire_sync" in self.control_handlers:
            in_force.add("kernelwire sync")

    base_class.__init__ = init_with_journal


# -- the start ---------------------------------------------------------------------------------------------------


def install_features(base_class: Any, kernel_class: Any, version: tuple[Any, ...], in_force: set[str]) -> None:
    """kernel_info_reply tells what is in force. ipykernel 7.0 to 7.3 lose a wake-up with subshells: none there; nor in
    a kernel that is not IPython's, which inherits the words but was not written for two threads."""
    kernel_info = base_class.kernel_info.fget

    def kernel_info_with_features(self: Any) -> dict[str, Any]:
        info: dict[str, Any] = dict(kernel_info(self))
        features: list[str] = list(info.get("supported_features") or ())
        works = version >= (7, 4) and isinstance(self, kernel_class)
        if not works and "kernel subshells" in features:
            features.remove("kernel subshells")
        info["supported_features"] = [*features, *sorted(in_force)]
        return info

    base_class.kernel_info = property(kernel_info_with_features)
    in_force.add("kernelwire")


def attempt(feature: str, install: Any, *args: Any) -> None:
    """Leave a feature out, with a line on stderr, when this ipykernel or IPython has not what it builds on."""
    try:
        install(*args)
    except (AttributeError, ImportError, KeyError, TypeError) as error:
        print(f"kernelwire launcher: left out: {feature}: {error!r}", file=sys.stderr)


def prepare() -> None:
    """Change ipykernel's and IPython's base classes. Raises ImportError when they are not there."""
    version = tuple(import_module("ipykernel").version_info[:2])
    app_class = import_module("ipykernel.kernelapp").IPKernelApp
    base_class = import_module("ipykernel.kernelbase").Kernel
    kernel_class = import_module("ipykernel.ipkernel").IPythonKernel
    in_force: set[str] = set()
    per_thread = PerThread()
    attempt("features", install_features, base_class, kernel_class, version, in_force)
    attempt("lossless iopub", install_lossless, app_class, in_force)
    attempt("defaults", install_defaults, app_class)
    attempt("quick command line", install_quick_command_line, app_class)
    attempt("quick configuration", install_quick_configuration, import_module("traitlets.config").Configurable)
    iostream, session_class = import_module("ipykernel.iostream"), import_module("jupyter_client.session").Session
    attempt("small streams", install_small_streams, iostream.OutStream)
    attempt("quick flush", install_quick_flush, iostream.OutStream)
    if version >= (7, 4):  # the insides of these were read there
        attempt("cheap flush", install_cheap_flush, iostream.OutStream)
        attempt("few wakes", install_few_wakes, iostream.IOPubThread)
        attempt("known parameters", install_known_parameters, import_module("ipykernel.ipkernel"))
    max_bytes = os.environ.pop(MAX_EVENT_BYTES, "")
    if max_bytes.isdecimal():
        sockets = (iostream.IOPubThread, iostream.BackgroundSocket)
        attempt("bounded messages", install_bounded_messages, session_class, sockets, int(max_bytes))
    attempt("lone surrogates", install_surrogates, session_class)
    attempt("inspection", install_inspection, kernel_class, per_thread, in_force)
    attempt("completion", install_completion, kernel_class, per_thread)
    attempt("sync", install_sync, base_class, in_force)


def become(module: str) -> None:
    """Go on as `python -m MODULE` (Python documentation, "Command line and environment", -m): the current directory
    first on sys.path, argv and __main__ without a trace of this file. Returns when the kernel ends."""
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        with contextlib.suppress(OSError):  # the directory is gone: -m adds nothing then
            sys.path.insert(0, os.getcwd())
    original: list[str] = getattr(sys, "orig_argv", [])  # since Python 3.10
    if original:
        original[len(original) - len(sys.argv) :] = ["-m", *sys.argv[1:]]
    sys.argv[:2] = ["-m"]
    main_module = types.ModuleType("__main__")
    vars(main_module)["__builtins__"] = builtins
    sys.modules["__main__"] = main_module
    # What `python -m` itself calls. The public run_module swaps __main__ back before atexit handlers run.
    run_as_main = getattr(runpy, "_run_module_as_main", None)
    if run_as_main is not None:
        run_as_main(module)
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("kernelwire launcher: usage: PYTHON launcher.py MODULE [ARGUMENT...]")
    module = sys.argv[1]
    try:
        prepare()
    except ModuleNotFoundError as error:
        if error.name != "ipykernel":
            sys.exit(f"kernelwire launcher: the ipykernel of this Python ({sys.executable}) does not work: {error}")
        sys.exit(
            f"kernelwire launcher: this Python ({sys.executable}) has no ipykernel: "
            f"install it there with: {sys.executable} -m pip install ipykernel"
        )
    become(module)


if __name__ == "__main__":
    main()
