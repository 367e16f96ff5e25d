"""What code in a cell may try: each attack is a cell that ends with the value True where it got through.

`facts` is a dict in the attacker's kernel: where the victim, another user's session, and the service's own things are,
as anybody on the machine could find out.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack. `root`: only a service that runs as root could be attacked so, even without a sandbox."""

    name: str
    code: str
    root: bool = False
    through_landlock: bool = False
    """whether it gets through where the machine has no namespaces, see docs/security.md"""
    through_user: bool = False
    """whether it gets through where a user of its own is all that a session has"""


PRELUDE = """
import array, ctypes, fcntl, glob, os, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def in_child(attempt):
    child = os.fork()
    if child == 0:
        try:
            attempt()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0
def connects(address, kind=socket.AF_UNIX):
    with socket.socket(kind) as client:
        client.settimeout(5)
        client.connect(address)
        return True
"""
USER, MOUNT, NET = 0x10000000, 0x20000, 0x40000000

ATTACKS = (
    Attack("the files of another session", "'victim' in open(facts['file']).read()"),
    Attack("the key of another kernel", "'key' in open(facts['connection']).read()"),
    Attack("the service's secret", "bool(open(facts['secret']).read())"),
    Attack("the service's database", "bool(open(facts['database']).read())"),
    Attack("the logs of other sessions", "bool(glob.glob(facts['logs']))"),
    Attack("forging a kernel's record", "bool(open(facts['record'], 'a'))"),
    Attack(
        "listing other processes", "str(facts['pid']) in os.listdir('/proc')", through_landlock=True, through_user=True
    ),
    Attack("another kernel's environment", "b'PATH' in open(f\"/proc/{facts['pid']}/environ\", 'rb').read()"),
    Attack(
        "another kernel's memory by /proc",
        "memory = open(f\"/proc/{facts['pid']}/mem\", 'rb', 0)\nmemory.seek(facts['address'])\n"
        "memory.read(6) == b'victim'",
    ),
    Attack(
        "another kernel's memory by process_vm_readv",
        "buffer = ctypes.create_string_buffer(6)\n"
        "here = struct.pack('PN', ctypes.addressof(buffer), 6); there = struct.pack('PN', facts['address'], 6)\n"
        "call(libc.process_vm_readv, facts['pid'], here, 1, there, 1, 0)\nbuffer.raw == b'victim'",
    ),
    Attack(
        "tracing another kernel",
        "in_child(lambda: call(libc.ptrace, 0x4206, facts['pid'], None, None))",  # PTRACE_SEIZE
    ),
    Attack("signalling another kernel", "os.kill(facts['pid'], signal.SIGCONT); True"),
    Attack("signalling a shim", "os.kill(facts['shim'], signal.SIGCONT); True"),
    Attack(
        "a descriptor of another kernel",
        "call(libc.syscall, 438, os.pidfd_open(facts['pid']), 1, 0) >= 0",
    ),
    Attack("another kernel's shell socket", "connects(facts['sockets'] + '-1')", through_landlock=True),
    Attack("another kernel's iopub socket", "connects(facts['sockets'] + '-2')", through_landlock=True),
    Attack("the host's own socket", "connects(facts['hop'])", through_landlock=True),
    Attack("an abstract socket", "connects(b'\\0' + facts['abstract'].encode())", through_user=True),
    Attack("a TCP port of the machine", "connects(('127.0.0.1', facts['port']), socket.AF_INET)", through_user=True),
    Attack("another session's file in /tmp", "bool(open(facts['tmp']).read())", through_user=True),
    Attack(
        "another session's shared memory", "bool(open(facts['shm']).read())", through_landlock=True, through_user=True
    ),
    Attack("another session's SysV memory", "call(libc.shmget, facts['sysv'], 0, 0) >= 0", through_user=True),
    Attack(
        "mounting",
        f"in_child(lambda: (call(libc.unshare, {USER | MOUNT}), call(libc.mount, b'x', b'/', b'tmpfs', 0, 0)))",
        through_user=True,
    ),
    Attack("a new user namespace", f"in_child(lambda: call(libc.unshare, {USER}))", through_user=True),
    Attack(
        "keys of the user",
        "call(libc.syscall, 250 if os.uname().machine == 'x86_64' else 219, 0, -3, 1) != 0",
        through_user=True,
    ),
    Attack(
        "raw packets",
        "def raw(): call(libc.unshare, " + str(USER | NET) + "); socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)\n"
        "in_child(raw)",
        through_user=True,
    ),
    Attack("io_uring", "call(libc.syscall, 425, 1, ctypes.create_string_buffer(120)) >= 0", through_user=True),
    Attack("writing to the interpreter", "bool(open(facts['plant'], 'w'))"),
    Attack("the settings of the system", "os.close(os.open('/proc/sys/vm/swappiness', os.O_WRONLY)); True", root=True),
    Attack("the password file", "'root' in open('/etc/shadow').read()", root=True),
)
