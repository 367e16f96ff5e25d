"""The shim: the parent of one kernel. It outlives the host and keeps how the kernel ended.

Run by path as `python -X utf8 -I -S shim.py KID`; standard library only (Python >= 3.9). The kid on the command line is
for `ps` and for a new host that must know this process again; all else comes on standard input (see
`Launch`). Standard output and standard error lead to the host until the kernel has its record: `ready` there means
that kernel.json is written, anything else is the reason why nothing was started.

Life: session leader and subreaper, forks the kernel (PDEATHSIG SIGKILL: it dies with the shim), writes kernel.json,
lets the kernel go on to exec, waits. At the kernel's end everything that it left behind is killed, exit.json is
written, the shim ends. SIGTERM to the shim kills the kernel. A kernel without a host for `orphan_grace_s` is ended as
well.

A launch that asks for a sandbox names the file of its code, sandbox/entry.py, which says what else happens between the
fork and the gate, and whose tree has a process more.

A fork server runs the same code in a process that it has forked: see `run`, and forkserver/server.py.

What a kernel may use and as whom it runs is put on it in its own process: sandbox/limits.py.

Sources: prctl(2), fcntl(2) "Open file description locks", proc_pid_stat(5), proc_tid_children(5), waitid(2).
"""

import ctypes
import fcntl
import os
import select
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn

    from kernel_bridge.sandbox import limits
else:
    try:
        # The public module makes enums of its names: 4 ms and 0.9 MiB for each kernel.
        import _signal as signal
    except ImportError:
        import signal

OUTPUT_BYTES = 64 * 1024
"""how much of the kernel's stdout and stderr is kept, the newest"""
STDERR_BYTES = 16 * 1024
"""how much of it goes into exit.json"""
LOCK_CHECK_S = 5.0
"""how often host.lock is asked, at most"""
ORPHAN_TERM_S = 2.0
"""an orphaned kernel has this long from SIGTERM to SIGKILL: nobody asked for its end, so it may save what it has"""
CLEAN_UP_S = 5.0
"""what a kernel left behind is hunted no longer than this"""

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PIDFD_SIGNAL_PROCESS_GROUP = 4
PR_SET_NO_NEW_PRIVS = 38
NULL_OR_BOOL = {None: "null", False: "false", True: "true"}
JSON_ESCAPES = {code: f"\\u{code:04x}" for code in range(32)} | {0x22: '\\"', 0x5C: "\\\\"}


def load_own(name: str) -> "Any":
    """A module of sandbox/ by its file, under no name that a cell could import; importlib itself would cost 2 ms."""
    from _frozen_importlib_external import SourceFileLoader  # pyright: ignore  the machinery itself

    here = os.path.dirname(os.path.abspath(__file__))
    if os.path.basename(here) == "__pycache__":  # the compiled shim
        here = os.path.dirname(here)
    module = type(os)("_kernelwire_" + name)
    SourceFileLoader(module.__name__, f"{here}/sandbox/{name}.py").exec_module(module)
    return module


if not TYPE_CHECKING:
    limits = load_own("limits")


class Launch:
    """What to start: fields `name=value`, each ended by a NUL byte, which no path and no argument can hold.

    `arg`, `env` (value `NAME=TEXT`), `limit` (value `NAME:NUMBER`) and `cgroup` come as often as needed, unknown names
    are ignored. JSON would cost 4 ms and
    0.6 MiB for each kernel, and could not carry arguments that are not UTF-8.
    """

    def __init__(self, data: bytes) -> None:
        fields: dict[bytes, list[bytes]] = {}
        for field in data.split(b"\0")[:-1]:
            name, _, value = field.partition(b"=")
            fields.setdefault(name, []).append(value)
        self.kid = fields[b"kid"][0]
        self.session = fields[b"session"][0]
        self.workdir = fields[b"workdir"][0]
        self.kernel_dir = os.fsdecode(fields[b"kernel_dir"][0])
        self.lock_path = os.fsdecode(fields[b"lock_path"][0])
        self.orphan_grace_s = float(fields[b"orphan_grace_s"][0])
        self.argv = fields[b"arg"]
        self.sandbox = os.fsdecode(fields.get(b"sandbox", [b""])[0])
        self.fields = fields
        self.env: dict[bytes, bytes] = {}
        for pair in fields.get(b"env", []):
            name, _, value = pair.partition(b"=")
            self.env[name] = value
        self.limits: dict[bytes, int] = {}
        for pair in fields.get(b"limit", []):
            name, _, value = pair.partition(b":")
            self.limits[name] = int(value)
        self.cgroup = [os.fsdecode(directory) for directory in fields.get(b"cgroup", [])]
        uid = fields.get(b"uid")
        self.uid = int(uid[0]) if uid else None


class HostWatch:
    """Asks whether any process holds host.lock; asking takes nothing."""

    def __init__(self, path: str, grace_s: float) -> None:
        self._path = path
        self._grace_s = grace_s
        self._interval_s = min(LOCK_CHECK_S, max(grace_s / 4, 0.02))
        self._unheld_since: float | None = None
        self.next_check = 0.0

    def orphaned(self, now: float) -> bool:
        """True when every answer of the last `grace_s` seconds was: nobody. Asks only when it is time to."""
        if now < self.next_check:
            return False
        self.next_check = now + self._interval_s
        if self._held():
            self._unheld_since = None
            return False
        # Counted from the first such answer, not from the last holder: a shim that was frozen knows nothing.
        if self._unheld_since is None:
            self._unheld_since = now
        return now - self._unheld_since >= self._grace_s

    def _held(self) -> bool:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # no answer is no reason to end anyone's work
        try:
            # struct flock: l_type, l_whence, l_start, l_len, l_pid (0 for OFD locks), padded to its alignment
            asked = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
        except OSError:
            return True
        finally:
            os.close(fd)
        return struct.unpack("hhqqi0q", answer)[0] != fcntl.F_UNLCK


class Shim:
    """One kernel and what is known of it. Single-threaded; everything happens in `watch`."""

    def __init__(self, launch: Launch, sandbox: "Any | None") -> None:
        """`sandbox`: a sandbox.entry.Sandbox that the kernel is to be in."""
        self._launch = launch
        self._host = HostWatch(launch.lock_path, launch.orphan_grace_s)
        self._output = bytearray()
        self._kill_at: float | None = None
        self._pid = 0
        self._sandbox = sandbox
        self._child = 0
        """what we reap: the kernel, or the init of its PID namespace"""
        self._kernel_fd = -1
        self._output_fd = -1
        self._wake_fd, wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._child_ended)
        signal.signal(signal.SIGTERM, self._terminated)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)

    def start(self) -> bool:
        """Fork the kernel, write its record, open its gate. True in the kernel, which has passed the gate.

        Raises OSError if one of them is impossible.
        """
        remove(self._path("exit.json"))
        self._output_fd, output = os.pipe2(os.O_CLOEXEC)
        gate, opener = os.pipe2(os.O_CLOEXEC)
        shim = os.getpid()
        self._pid = self._child = os.fork()
        if self._pid == 0:
            os.close(opener)
            enter_kernel(self._launch, shim, gate, output, self._sandbox)
            return True
        os.close(output)
        os.close(gate)
        os.set_blocking(self._output_fd, False)
        if self._sandbox is not None:
            self._adopt(self._sandbox)
        write_file(self._path("kernel.json"), self._record(shim))
        tell_host(b"ready\n")
        try:
            os.write(opener, b"\n")
        except BrokenPipeError:
            pass  # the child is dead already: watch() will find it
        os.close(opener)
        return False

    def watch(self) -> None:
        """Wait for the kernel's end, whatever brings it; returns when exit.json is written."""
        poller = select.poll()
        poller.register(self._wake_fd, select.POLLIN)
        poller.register(self._output_fd, select.POLLIN)
        while not self._ended():
            for fd, _ in poller.poll(self._next_wake_ms()):
                if fd == self._wake_fd:
                    drain(fd)
                elif not self._read_output():
                    poller.unregister(fd)
            self._end_if_due(time.monotonic())
        self._finish()

    def _adopt(self, sandbox: "Any") -> None:
        """Wait until the kernel stands in its sandbox, at its gate. Raises OSError."""
        try:
            self._child, self._pid = sandbox.adopt(self._child)
        except OSError as error:
            self._read_output()
            raise OSError(0, last_lines(bytes(self._output)).decode().strip() or str(error)) from None
        self._kernel_fd = os.pidfd_open(self._pid)

    def _child_ended(self, *_: object) -> None:
        """Nothing: but a signal with a handler writes the byte that wakes the poll."""

    def _terminated(self, *_: object) -> None:
        self._kill_at = 0.0

    def _next_wake_ms(self) -> "int | None":
        at = self._host.next_check if self._kill_at is None else self._kill_at
        return None if at == float("inf") else max(0, int((at - time.monotonic()) * 1000) + 1)

    def _end_if_due(self, now: float) -> None:
        if self._kill_at is None and self._host.orphaned(now):
            self._signal(signal.SIGTERM)
            self._kill_at = now + ORPHAN_TERM_S
        if self._kill_at is not None and self._kill_at <= now:
            self._signal(signal.SIGKILL)
            self._kill_at = float("inf")

    def _signal(self, number: int) -> None:
        if self._child != self._pid:
            self._signal_inside(number)
            return
        # The kernel is not reaped before _finish, so its number cannot belong to anyone else.
        try:
            os.killpg(self._pid, number)
        except OSError:  # before its setsid, or a group that holds only processes of other users
            os.kill(self._pid, number)

    def _signal_inside(self, number: int) -> None:
        """To a kernel that its own init reaps, by descriptor; SIGKILL to that init, and so to all in its namespace."""
        if number == signal.SIGKILL:
            os.kill(self._child, number)
            return
        for flags in (PIDFD_SIGNAL_PROCESS_GROUP, 0):  # the first since Linux 6.9
            try:
                signal.pidfd_send_signal(self._kernel_fd, number, None, flags)
                return
            except ProcessLookupError:
                return
            except OSError:
                continue

    def _ended(self) -> bool:
        """Reap orphans that came to us; our child itself is left as a zombie, which keeps its number."""
        while True:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if dead is None:
                return False
            if dead.si_pid == self._child:
                return True
            os.waitpid(dead.si_pid, 0)

    def _read_output(self) -> bool:
        try:
            chunk = os.read(self._output_fd, OUTPUT_BYTES)
        except BlockingIOError:
            return True
        self._output += chunk
        del self._output[:-OUTPUT_BYTES]
        return bool(chunk)

    def _finish(self) -> None:
        self._signal(signal.SIGKILL)  # its group, while the zombie holds the number
        status = os.waitpid(self._child, 0)[1]
        if self._sandbox is not None:
            status = self._sandbox.ended_with(status)
        self._end_descendants()
        # Bounded: somebody who could not be killed may go on writing. A pipe holds 1 MiB at most.
        for _ in range(16):
            before = len(self._output)
            if not self._read_output() or len(self._output) == before < OUTPUT_BYTES:
                break
        text = self._exit(status)
        limits.end(self._launch.cgroup)
        write_file(self._path("exit.json"), text)

    def _end_descendants(self) -> None:
        """Kill our children until there are none: a killed one's children become ours (subreaper).

        Only children are killed, never a number read deeper in the tree: until we reap it, it is still that process.
        """
        deadline = time.monotonic() + CLEAN_UP_S
        wake = select.poll()
        wake.register(self._wake_fd, select.POLLIN)
        while time.monotonic() < deadline:
            for child in children():
                try:
                    os.kill(child, signal.SIGKILL)
                except OSError:  # of another user: it may end by itself before the deadline
                    continue
            if not reap_all():
                return
            wake.poll(20)
            drain(self._wake_fd)

    def _path(self, name: str) -> str:
        return self._launch.kernel_dir + "/" + name

    def _record(self, shim: int) -> str:
        argv = ", ".join(quote(arg) for arg in self._launch.argv)
        started = int(stat_fields(self._pid)[19])
        return (
            f'{{"v": 1, "kid": {quote(self._launch.kid)}, "session": {quote(self._launch.session)}, '
            f'"pid": {self._pid}, "start_time": {started}, "shim_pid": {shim}, "argv": [{argv}]}}\n'
        )

    def _exit(self, status: int) -> str:
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else "null"
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else "null"
        oom = limits.ran_out(self._launch.cgroup)
        if oom:  # perhaps another process of the kernel's was ended, and the kernel went on
            oom = number == signal.SIGKILL
        limit = limits.reached(self._launch.limits, number if isinstance(number, int) else 0, oom)
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
        return (
            f'{{"v": 1, "code": {code}, "signal": {number}, '
            f'"oom": {NULL_OR_BOOL[oom]}, "limit": {quote(limit.encode()) if limit else "null"}, '
            f'"stderr": {quote(last_lines(bytes(self._output)))}, "time": "{stamp}"}}\n'
        )


def enter_kernel(launch: Launch, shim: int, gate: int, output: int, sandbox: "Any | None") -> None:
    """In the child: take what every kernel has from its shim; returns when the gate opens, else the child ends."""
    doing, entered = b"start", False
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != shim:
            return  # the shim died before the line above could see it
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        reset_signals()
        doing = b"limit a kernel"
        limits.join(launch.cgroup)
        limits.put_on(launch.limits)
        if launch.uid is not None:
            limits.become(launch.uid, LIBC)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the change of user has cleared it
            if os.getppid() != shim:
                return
        elif os.geteuid() != 0:
            limits.drop_capabilities(LIBC)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if sandbox is None:
            prctl(PR_SET_DUMPABLE, 1)
        else:
            doing = b"enter the sandbox"
            sandbox.enter()  # returns in another process
            sandbox.stand_ready()
        if os.read(gate, 1):
            doing = b"start in " + launch.workdir
            os.chdir(launch.workdir)
            limits.put_on_processes(launch.limits)
            if sandbox is not None:
                doing = b"enter the sandbox"
                sandbox.close_doors()
            entered = True
    except (OSError, ValueError) as error:
        fail(doing, error)
    finally:
        if not entered:
            os._exit(126)


def exec_kernel(launch: Launch) -> "NoReturn":
    """In the child: become what `launch` says. A failure is a sentence on stderr and 126 or 127."""
    try:
        os.execvpe(launch.argv[0], launch.argv, launch.env)  # noqa: S606  an argv of ours, no shell wanted
    except (OSError, ValueError) as error:
        fail(b"start " + launch.argv[0], error)
    finally:
        os._exit(126)


def fail(doing: bytes, error: "OSError | ValueError") -> "NoReturn":
    """End the child with a sentence that says what it could not do."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    try:
        os.write(2, b"cannot " + doing + b": " + reason.encode() + b"\n")
    finally:
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def reset_signals() -> None:
    """Every signal as a fresh process has it: an ignored SIGINT, say, would survive exec."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def prctl(option: int, value: int) -> None:
    """prctl(2). Raises OSError."""
    if LIBC.prctl(option, *(ctypes.c_ulong(argument) for argument in (value, 0, 0, 0))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def children() -> list[int]:
    """Pids of our children, also of those that came to us as orphans."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:  # a Linux built without CONFIG_PROC_CHILDREN
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent_of(pid) == me]


def parent_of(pid: int) -> int:
    """Pid of the parent, 0 when the process is gone."""
    try:
        return int(stat_fields(pid)[1])
    except OSError:
        return 0


def stat_fields(pid: int) -> list[bytes]:
    """/proc/PID/stat from field 3 (state) on: [1] is field 4, the parent, [19] field 22, the start time in ticks."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def reap_all() -> bool:
    """Reap every dead child; False when no child is left."""
    try:
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
            pass
    except ChildProcessError:
        return False
    return True


def drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass


def last_lines(output: bytes) -> bytes:
    """The end of `output` as valid UTF-8 of at most STDERR_BYTES, without the line that was cut."""
    tail = output[-STDERR_BYTES:].decode(errors="replace").encode()  # one bad byte becomes three: cut again
    cut = len(output) > STDERR_BYTES or len(tail) > STDERR_BYTES
    tail = tail[-STDERR_BYTES:]
    if not cut:
        return tail
    line = tail.partition(b"\n")[2]
    return line or tail.decode(errors="ignore").encode()


def quote(text: bytes) -> str:
    """A JSON string; what is not UTF-8 becomes U+FFFD."""
    return '"' + text.decode(errors="replace").translate(JSON_ESCAPES) + '"'


def write_file(path: str, text: str) -> None:
    """Write atomically, mode 0600. Raises OSError and leaves nothing behind."""
    part = path + ".part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(text.encode())
        os.replace(part, path)
    except OSError:
        remove(part)
        raise


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def tell_host(report: bytes) -> None:
    """Tell the host, then let go of it: nothing of ours keeps its pipe open."""
    try:
        os.write(1, report)
    except OSError:
        pass  # it is gone; the lock says for how long
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def close_descriptors() -> None:
    """Close all but the standard three."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                continue  # the listing's own descriptor


def read_launch() -> Launch:
    """What standard input says."""
    with open(0, "rb", closefd=False) as stdin:
        return Launch(stdin.read())


def load(path: str) -> "Any":
    """The module in a file of ours. importlib.util, which is made for this, costs 15 ms."""
    import _frozen_importlib_external as files

    module = type(os)("_kernelwire_sandbox")
    module.__file__ = path
    files.SourceFileLoader(module.__name__, path).exec_module(module)
    return module


def run(launch: Launch, sandboxes: "Any | None" = None) -> None:
    """Be the shim of a kernel until the end of the process; returns in one process only: the kernel, past its gate.

    `sandboxes`: the module sandbox.entry, if it is loaded.
    """
    os.chdir("/")
    if os.getsid(0) != os.getpid():
        os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_DUMPABLE, 0)
    try:
        sandbox = (sandboxes or load(launch.sandbox)).Sandbox(launch.fields) if launch.sandbox else None
        shim = Shim(launch, sandbox)
        if shim.start():
            return
    except OSError as error:
        os.write(2, b"cannot start a kernel: " + (error.strerror or str(error)).encode())
        os._exit(1)  # a child that waits at the gate ends with us
    shim.watch()
    os._exit(0)  # without the interpreter's tear-down: the host waits for this


def main() -> None:
    close_descriptors()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    launch = read_launch()
    run(launch)
    exec_kernel(launch)


if __name__ == "__main__":
    main()
