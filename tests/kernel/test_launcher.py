"""The launcher, by real kernels over ipc; what must not differ from plain ipykernel is run under both."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.launcher_client import DEADLINE_S, LAUNCHED, LAUNCHER, PLAIN, KernelClient, Message

ROOT = Path(__file__).parents[2]
FEATURES = {"kernelwire", "kernelwire inspect", "kernelwire lossless", "kernelwire sync"}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def short_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="kwl-"))  # made 0700, short enough for a socket's path


@pytest.fixture
def directory() -> Iterator[Path]:
    made = short_directory()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def shared() -> Iterator[KernelClient]:
    made = short_directory()
    try:
        with KernelClient(made, LAUNCHED) as client:
            yield client
    finally:
        shutil.rmtree(made)


def under_both(run: Callable[[KernelClient], str]) -> tuple[str, str]:
    """What `run` gives under plain ipykernel and under the launcher, paths and colours made equal."""
    results: list[str] = []
    for argv in (PLAIN, LAUNCHED):
        made = short_directory()
        try:
            with KernelClient(made, argv) as client:
                text = ANSI.sub("", run(client)).replace(str(made), "DIR")
                results.append(text.replace(f"ipykernel_{client.process.pid}", "ipykernel_PID"))
        finally:
            shutil.rmtree(made)
    return results[0], results[1]


# -- as plain ipykernel ------------------------------------------------------------------------------------------

SAME_CELLS = {
    "argv": "import sys; sys.argv, sys.orig_argv, sys.path, sys.flags",
    "main": "import __main__; sorted(vars(__main__)), __main__.__spec__, getattr(__main__, '__file__', None), __name__",
    "who": "%who",
    "pickle": "import pickle\nclass A:\n    x = 1\npickle.loads(pickle.dumps(A())).x, pickle.dumps(A)",
    "fork": (
        "import multiprocessing as mp\ndef square(x): return x * x\n"
        "with mp.get_context('fork').Pool(1) as pool: print(pool.map(square, [3]))"
    ),
    "spawn": (
        "import os, operator\nwith mp.get_context('spawn').Pool(1) as pool:\n"
        "    print(pool.apply(operator.add, (1, 2)), pool.apply(eval, ('sorted(vars(__import__(\"__main__\")))',)))"
    ),
    "run": "%run script.py one",
    "error": "def f():\n    1 / 0\nf()",
    "modules": "sorted(name for name in sys.modules if 'launcher' in name or 'kernel_bridge' in name)",
    "display": "1; 2\nIn[1], Out, _",
}


def test_everything_a_user_sees_is_as_under_plain_ipykernel() -> None:
    def run(client: KernelClient) -> str:
        script = client.stderr.with_name("script.py")
        script.write_text("import sys\nclass B: pass\nprint(__name__, sys.argv, __file__, B.__module__)\n")
        lines: list[str] = []
        for name, code in SAME_CELLS.items():
            reply = client.run(code)
            lines.append(f"{name}: {reply['status']} {reply['text']} " + "\n".join(reply.get("traceback", [])))
        return "\n".join(lines)

    plain, launched = under_both(run)
    assert launched == plain
    assert "spawn: ok 3" in launched
    assert "argv: ok (['" in launched


def test_objects_of_cells_pickle_in_atexit_handlers_too() -> None:
    def run(client: KernelClient) -> str:
        client.run(
            "import atexit, pickle\nclass A: pass\n"
            "def last():\n    open('left', 'w').write(repr(pickle.loads(pickle.dumps(A))))\natexit.register(last)"
        )
        client.send("shutdown_request", {"restart": False}, "control")
        client.process.wait(DEADLINE_S)
        return client.stderr.with_name("left").read_text() + client.stderr.read_text()

    plain, launched = under_both(run)
    assert launched == plain
    assert "__main__.A" in launched


def test_a_cell_does_not_find_the_launchers_neighbours(shared: KernelClient) -> None:
    code = "import importlib.util as u; [u.find_spec(n) is None for n in ('launcher', 'hop', 'results')]"
    assert shared.run(code)["text"] == "[True, True, True]"


def test_sigint_interrupts_as_in_plain_ipykernel_and_shows_nothing_of_the_launcher() -> None:
    def run(client: KernelClient) -> str:
        replies: list[Message] = []
        for code in (
            "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)",
            "import asyncio\nos.kill(os.getpid(), signal.SIGINT)\nawait asyncio.sleep(60)",
        ):
            replies.append(client.run(code))
        # from a timer: a signal at the very moment of the request is seen at another line
        ask = "import threading\nthreading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\ninput('? ')"
        replies.append(client.run(ask, allow_stdin=True))
        shown = ["\n".join([reply["ename"], reply["evalue"], *reply["traceback"]]) for reply in replies]
        return "\n".join([*shown, client.run("6 * 7")["text"]])

    plain, launched = under_both(run)
    assert launched == plain
    assert "Interrupted by user" in launched
    assert launched.endswith("42")
    assert "launcher" not in launched


def test_a_kernel_outlives_the_pid_in_jpy_parent_pid(directory: Path) -> None:
    with KernelClient(directory, LAUNCHED, env={"JPY_PARENT_PID": "999999999"}) as client:
        app = "from ipykernel.kernelapp import IPKernelApp as A; A.instance().parent_handle, A.instance().poller"
        assert client.run(app)["text"] == "(1, None)"


# -- lossless, order, defaults -----------------------------------------------------------------------------------


def test_features_are_listed_and_subshells_stay(shared: KernelClient) -> None:
    features: list[str] = shared.info["supported_features"]
    assert set(features) >= FEATURES | {"kernel subshells"}
    assert len(features) == len(set(features))


def test_a_stalled_reader_loses_nothing(directory: Path) -> None:
    count = 20_000
    with KernelClient(directory, LAUNCHED) as client:
        msg_id = client.start(f"for i in range({count}): print(i, flush=True)")
        client.reply(msg_id)  # iopub is not read meanwhile
        texts = [message["content"].get("text", "") for message in client.outputs(msg_id)]
        assert "".join(texts) == "".join(f"{i}\n" for i in range(count))


def test_all_output_of_a_cell_comes_before_its_idle(shared: KernelClient) -> None:
    code = (
        "import sys\nfor i in range(20):\n    print(i)\n    print(i, file=sys.stderr)\n"
        "display('shown'); print('last'); print('last', file=sys.stderr)"
    )
    assert shared.run("get_ipython().kernel._execute_sleep")["text"] == "0.0"
    for _ in range(200):
        msg_id = shared.start(code)
        outputs = shared.outputs(msg_id)  # up to idle: what is late would be missing here
        texts = {"stdout": "", "stderr": ""}
        for message in outputs:
            if message["msg_type"] == "stream":
                texts[message["content"]["name"]] += message["content"]["text"]
        numbers = "".join(f"{i}\n" for i in range(20)) + "last\n"
        assert texts == {"stdout": numbers, "stderr": numbers}
        assert [message["msg_type"] for message in outputs].count("display_data") == 1
        shared.reply(msg_id)


@pytest.mark.parametrize(
    ("code", "times", "expected"),
    [
        ("import os; os.write(1, b'ab'); os.write(1, b'c'); None", 200, 1),
        ("import os; n = os.write(1, b'abc' * 20_000)", 50, 20_000),
        ("import subprocess; subprocess.run(['echo', '-n', 'abc']); None", 50, 1),
        ("import threading; t = threading.Thread(target=print, args=('abc',)); t.start(); t.join()", 200, 1),
        ("import time; print('abc'); time.sleep(0.05)", 50, 1),  # the timer's flush and the cell's end at one moment
        ("import os\nfor i in range(9): print('abc', flush=i % 3 == 0); os.write(1, b'abc')", 50, 18),
    ],
    ids=["descriptor", "much", "subprocess", "thread", "timer", "mixed"],
)
def test_no_output_that_was_written_before_the_end_is_late(
    shared: KernelClient, code: str, times: int, expected: int
) -> None:
    lengths: set[int] = set()
    for _ in range(times):
        text = str(shared.run(code)["text"])  # up to idle
        assert set(text) <= set("abc\n"), text
        lengths.add(text.count("c"))
    assert lengths == {expected}


def test_a_writer_without_end_holds_no_cell_up(shared: KernelClient) -> None:
    loop = "while :; do echo x; done"
    shared.run(f"import subprocess; writer = subprocess.Popen(['sh', '-c', {loop!r}])")
    try:
        for number in range(5):
            assert shared.reply(shared.start(f"{number}"))["content"]["status"] == "ok"
    finally:
        shared.run("writer.kill(); writer.wait(); None")
    shared.run("None")
    assert "x" not in str(shared.run("print('after')")["text"])


def test_what_run_cell_takes_is_known_for_each_function(shared: KernelClient) -> None:
    code = (
        "from ipykernel.ipkernel import _accepts_parameters as asked\n"
        "class A:\n    def m(self, cell_id): pass\n"
        "class B(A):\n    def m(self, cell): pass\n"
        "class C(B):\n    def m(self, **words): pass\n"
        "one = lambda cell_id: 0\n"
        "[bool(asked(f, ['cell_id'])['cell_id']) for f in (A().m, B().m, C().m, one, A().m, B().m, C().m)]"
    )
    assert shared.run(code)["text"] == "[True, False, True, True, True, False, True]"


SETTINGS = "k = get_ipython().kernel; k.shell.history_manager.enabled, k._execute_sleep"


def test_history_is_off_and_in_out_go_on_working(shared: KernelClient) -> None:
    assert shared.run(SETTINGS)["text"] == "(False, 0.0)"
    count = shared.run("40 + 2")["execution_count"]
    assert shared.run(f"_, Out[{count}], In[{count}]")["text"] == "(42, 42, '40 + 2')"


def test_the_users_configuration_wins(directory: Path) -> None:
    options = ("--HistoryManager.enabled=True", "--IPythonKernel._execute_sleep=0.002")
    with KernelClient(directory, LAUNCHED, options=options) as client:
        assert client.run(SETTINGS)["text"] == "(True, 0.002)"


CONFIGURATION = """
c.InteractiveShellApp.exec_lines = ['at_start = 5']
c.PrefilterManager.multi_line_specials = False
c.InteractiveShell.PrefilterManager.mistaken = 1
c.ZMQInteractiveShell.IPCompleter.greedy = True
c.Completer.use_jedi = False
c.PlainTextFormatter.max_width = 60
c.InteractiveShell.xmode = 'Plain'
c.NoSuchClass.anything = 1
"""
CONFIGURED = (
    "import logging\nfrom traitlets.config import Configurable\nimport gc\n"
    "def show(one):\n    return sorted((name, repr(getattr(one, name))) for name in one.trait_names(config=True)"
    " if name not in ('connection_file', 'config', '_execute_sleep', 'parent_handle'))\n"
    "found = {type(one).__name__: show(one) for one in gc.get_objects() if isinstance(one, Configurable)"
    " and type(one).__name__ not in ('Session', 'HistoryManager')}\n"
    "from ipykernel.kernelapp import IPKernelApp\napp = IPKernelApp.instance()\n"
    "for name in sorted(found): print(name, found[name])\n"
    "print(at_start, len(found), app.argv[0], len(app.argv), app.extra_args, app.abs_connection_file == app.argv[1])"
)


def test_the_whole_configuration_is_read_as_under_plain_ipykernel() -> None:
    shown: list[str] = []
    for argv in (PLAIN, LAUNCHED):
        made = short_directory()
        try:
            profile = made / "ipython" / "profile_default"
            profile.mkdir(parents=True)
            (profile / "ipython_config.py").write_text("c = get_config()\n" + CONFIGURATION)
            with KernelClient(made, argv) as client:
                reply = client.run(CONFIGURED)
                assert reply["status"] == "ok", reply
                text = re.sub(r"0x[0-9a-f]+", "0x", ANSI.sub("", reply["text"])).replace(str(made), "DIR")
                shown.append(text)
        finally:
            shutil.rmtree(made)
    plain, launched = shown
    assert launched.splitlines() == plain.splitlines()
    for set_there in ("('greedy', 'True')", "('multi_line_specials', 'False')", "('xmode', \"'Plain'\")"):
        assert set_there in launched
    assert "\n5 " in launched


# -- inspection --------------------------------------------------------------------------------------------------


def test_inspection_of_a_function_as_data(shared: KernelClient) -> None:
    source = 'def area(r, unit="m"):\n    """Of a circle."""\n    return r * r'
    shared.run(source)
    facts = shared.inspect("area")["metadata"]["kernelwire"]
    assert facts.pop("file").endswith(".py")
    assert facts == {"name": "area", "docstring": "Of a circle.", "source": None, "signature": "area(r, unit='m')"}
    more = shared.inspect("area", detail_level=1)["metadata"]["kernelwire"]
    assert (more["source"], more["docstring"]) == (source, "Of a circle.")


def test_inspection_of_builtins_unknown_names_and_undocumented_objects(shared: KernelClient) -> None:
    facts = shared.inspect("len", detail_level=1)["metadata"]["kernelwire"]
    assert (facts["signature"], facts["source"], facts["file"]) == ("len(obj, /)", None, None)
    assert shared.inspect("no_such_name_here")["metadata"] == {}
    shared.run("def bare(): pass")
    assert shared.inspect("bare")["metadata"]["kernelwire"]["docstring"] is None


def test_inspection_runs_user_code_once_as_plain_does() -> None:
    def run(client: KernelClient) -> str:
        client.run("ran = []\nclass A:\n    def __repr__(self): ran.append('repr'); return 'A'")
        client.run("    \nclass B(A):\n    def __len__(self): ran.append('len'); return 1\nb = B()")
        client.inspect("b", 1)
        return client.run("ran")["text"]

    plain, launched = under_both(run)
    assert launched == plain
    assert "'len'" in launched


def test_long_texts_are_bounded_and_a_failure_leaves_the_reply_alone(shared: KernelClient) -> None:
    shared.run("class Long: pass\nLong.__doc__ = 'é' * (1 << 20)")
    docstring = shared.inspect("Long")["metadata"]["kernelwire"]["docstring"]
    assert len(docstring.encode()) == 1 << 20
    shared.run(
        "from IPython.core.oinspect import Inspector as I; plain_info = I.info\n"
        "class Odd(dict):\n    def get(self, *a): raise RuntimeError('odd')\n"
        "I.info = lambda *a, **k: Odd(plain_info(*a, **k))\nLong.__doc__ = 'short'"
    )
    try:
        reply = shared.inspect("Long")
        assert reply["found"]
        assert "short" in reply["data"]["text/plain"]
    finally:
        shared.run("I.info = plain_info")


# -- completion --------------------------------------------------------------------------------------------------


def typed(reply: Message) -> dict[str, tuple[str | None, str | None]]:
    matches = reply["metadata"]["_jupyter_types_experimental"]
    assert [match["text"] for match in matches] == reply["matches"]
    assert {(match["start"], match["end"]) for match in matches} <= {(reply["cursor_start"], reply["cursor_end"])}
    return {match["text"]: (match["type"], match["signature"]) for match in matches}


def test_live_matches_have_no_dot_and_static_types(shared: KernelClient) -> None:
    shared.run("import os\nclass K:\n    a1 = 1\n    def a2(self, x, /, y=2, *, z=None, **kw): pass\nk = K()")
    reply = shared.complete("os.pa")
    assert (reply["cursor_start"], reply["cursor_end"]) == (3, 5)
    assert typed(reply)["path"] == ("module", None)
    assert typed(shared.complete("k.a")) == {
        "a1": ("instance", None),
        "a2": ("function", "(x, /, y=2, *, z=None, **kw)"),
    }
    assert typed(shared.complete("K.a2")) == {"a2": ("function", "(self, x, /, y=2, *, z=None, **kw)")}
    assert typed(shared.complete("sorte"))["sorted"] == ("function", "(iterable, /, *, key=None, reverse=False)")
    assert typed(shared.complete("K"))["K"] == ("class", "()")


def test_magics_paths_and_keys_keep_ipythons_types(shared: KernelClient) -> None:
    assert typed(shared.complete("%timei"))["%timeit"] == ("magic", None)
    shared.run("d = {'key': 1}; open('some_file.txt', 'w').close()")
    assert typed(shared.complete("d['"))["key"] == ("dict key", None)
    assert typed(shared.complete("open('some_f"))["some_file.txt"] == ("path", None)
    assert typed(shared.complete("whil"))["while"] == ("keyword", None)


def test_types_are_found_without_running_user_code(shared: KernelClient) -> None:
    shared.run(
        "ran = []\n"
        "class Spy:\n"
        "    def __getattribute__(self, n): ran.append(n); return object.__getattribute__(self, n)\n"
        "    def __repr__(self): ran.append('repr'); return 'spy'\n"
        "    def __dir__(self): return ['sp_a', 'sp_b']\n"
        "    @property\n    def sp_a(self): ran.append('property')\n"
        "    def sp_b(self, d=None): pass\n"
        "spy = Spy(); Spy.sp_b.__defaults__ = (spy,)\n"
    )
    # names with jedi off, types ours: what IPython's own look-up touches is known, so compare with it switched off
    matches = typed(shared.complete("spy.sp_"))
    assert matches == {"sp_a": ("property", None), "sp_b": ("function", "(d=...)")}
    ran = shared.run("ran")["text"]
    assert "property" not in ran
    assert "repr" not in ran
    assert "sp_" not in ran


def test_jedi_comes_second_and_respects_the_users_switch(shared: KernelClient) -> None:
    code = "def f(local_name):\n    local_n"
    assert typed(shared.complete(code))["local_name"] == ("param", None)
    shared.run("%config IPCompleter.use_jedi = False")
    assert shared.complete(code)["matches"] == []
    shared.run("%config IPCompleter.use_jedi = True")
    assert shared.run("get_ipython().Completer.use_jedi")["text"] == "True"


def test_live_completion_is_fast(shared: KernelClient) -> None:
    shared.run("import os")
    times: list[float] = []
    for _ in range(20):
        start = time.perf_counter()
        shared.complete("os.pa")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.03  # 3 ms; with jedi 100


def test_many_matches_are_typed_up_to_the_bound(shared: KernelClient) -> None:
    shared.run("import types\nmany = types.SimpleNamespace(**{f'm{i:03}': len for i in range(400)})")
    matches = list(typed(shared.complete("many.m")).values())
    assert len(matches) == 400
    assert matches[0] == ("function", "(obj, /)")
    assert set(matches[200:]) == {(None, None)}


# -- while a cell runs -------------------------------------------------------------------------------------------


def test_subshell_inspects_and_completes_while_a_cell_sleeps(shared: KernelClient) -> None:
    shared.run("import os, time")
    subshell_id = shared.subshell()
    cell = shared.start("time.sleep(60)")
    shared.wait_for("execute_input")
    try:
        reply = shared.inspect("os.path.join", subshell_id=subshell_id)
        assert reply["metadata"]["kernelwire"]["signature"].startswith("os.path.join(a")
        assert typed(shared.complete("os.pa", subshell_id=subshell_id))["path"] == ("module", None)
        running = shared.sync()["running"]
        assert running["msg_id"] == cell  # though the subshell had requests since
    finally:
        shared.process.send_signal(signal.SIGINT)
        assert shared.reply(cell)["content"]["ename"] == "KeyboardInterrupt"
    shared.ask("delete_subshell_request", {"subshell_id": subshell_id}, "control")


def of(cell: str, message: Message) -> str | None:
    """The type of a message of this cell."""
    return message["msg_type"] if message["parent_header"].get("msg_id") == cell else None


def test_sync_tells_the_running_cell_and_the_last_replies(shared: KernelClient) -> None:
    ids: list[str] = []
    for number in range(18):
        ids.append(shared.start(f"{number}"))
        shared.reply(ids[-1])
    ids.append(shared.start("1/0"))
    shared.reply(ids[-1])
    shared.outputs(ids[-1])  # up to idle: a cell that has just been replied to may still be told as running
    state = shared.sync()
    assert (state["status"], state["running"], state["input"]) == ("ok", None, None)
    assert [reply["msg_id"] for reply in state["replies"]] == ids[-16:]
    assert state["replies"][-1]["content"]["ename"] == "ZeroDivisionError"
    assert state["replies"][-1]["metadata"]["status"] == "error"
    cell = shared.start("import time; print('begun', flush=True); time.sleep(60)")
    shown = shared.until("iopub", lambda message: of(cell, message) == "execute_input")[-1]
    count = shown["content"]["execution_count"]
    shared.until("iopub", lambda message: of(cell, message) == "stream")  # an interrupt before would not be the code's
    try:
        assert shared.sync()["running"] == {"msg_id": cell, "execution_count": count}
    finally:
        shared.process.send_signal(signal.SIGINT)
        shared.reply(cell)
        shared.outputs(cell)
    state = shared.sync()
    assert state["running"] is None
    assert state["replies"][-1]["msg_id"] == cell


def test_sync_bounds_a_reply(shared: KernelClient) -> None:
    cell = shared.start("1", user_expressions={"big": "'x' * 1_000_000"})
    assert len(shared.reply(cell)["content"]["user_expressions"]["big"]["data"]["text/plain"]) > 1_000_000
    kept = shared.sync()["replies"][-1]
    assert kept["msg_id"] == cell
    assert kept["content"]["truncated"]
    assert kept["content"]["status"] == "ok"
    assert kept["content"]["user_expressions"] == {}


@pytest.mark.parametrize(("call", "password"), [("input('name? ')", False), ("getpass.getpass('secret? ')", True)])
def test_sync_tells_the_input_that_waits(shared: KernelClient, call: str, password: bool) -> None:
    cell = shared.start(f"import getpass\nanswer = {call}\nprint('got', answer)", allow_stdin=True)
    request = shared.receive("stdin")
    assert request["msg_type"] == "input_request"
    state = shared.sync()
    assert state["input"] == {"msg_id": cell, **request["content"]}
    assert state["input"]["password"] is password
    assert state["running"]["msg_id"] == cell
    shared.send("input_reply", {"value": "Ada"}, "stdin")
    assert shared.reply(cell)["content"]["status"] == "ok"
    assert shared.sync()["input"] is None


# -- other kernels, bad starts -----------------------------------------------------------------------------------


def test_a_subclass_in_a_module_of_its_own_gets_everything(directory: Path) -> None:
    env = {"PYTHONPATH": str(ROOT)}
    with KernelClient(directory, LAUNCHED, "tests.kernel.launcher_subclass", env=env) as client:
        assert client.info["implementation"] == "subclass"
        assert set(client.info["supported_features"]) >= FEATURES
        assert client.run("made_by")["text"] == "'subclass'"
        assert client.run(SETTINGS)["text"] == "(False, 0.0)"
        assert client.inspect("len")["metadata"]["kernelwire"]["name"] == "len"
        client.run("import os")
        assert typed(client.complete("os.pa"))["path"] == ("module", None)
        assert client.sync()["replies"][-1]["content"]["status"] == "ok"


def test_a_kernel_that_is_not_ipythons_has_no_subshells(directory: Path) -> None:
    """It inherits the words from ipykernel's base class, but two threads of it were never meant to work at once."""
    env = {"PYTHONPATH": str(ROOT)}
    with KernelClient(directory, LAUNCHED, "tests.kernel.plain_kernel", env=env) as client:
        assert client.info["implementation"] == "plain"
        assert "kernelwire lossless" in client.info["supported_features"]
        assert "kernel subshells" not in client.info["supported_features"]


def launch_bare(*arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, timeout=DEADLINE_S, check=False, cwd="/"
    )


def test_without_ipykernel_one_sentence_and_exit_code_1() -> None:
    # -S: no site-packages, so no ipykernel
    done = launch_bare("-S", str(LAUNCHER), "ipykernel_launcher", python=sys.executable)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"kernelwire launcher: this Python ({sys.executable}) has no ipykernel: "
        f"install it there with: {sys.executable} -m pip install ipykernel\n"
    )


def test_without_a_module_or_with_an_unknown_one_a_sentence() -> None:
    usage = launch_bare(str(LAUNCHER))
    assert usage.returncode == 1
    assert "usage:" in usage.stderr
    unknown, plain = launch_bare(str(LAUNCHER), "no_such_module"), launch_bare("-m", "no_such_module")
    assert (unknown.returncode, unknown.stderr) == (plain.returncode, plain.stderr)


def test_a_feature_that_this_ipykernel_does_not_allow_is_left_out(directory: Path) -> None:
    (directory / "sitecustomize.py").write_text(
        "import ipykernel.kernelapp as a, ipykernel.kernelbase as b, ipykernel\n"
        "from IPython.core.oinspect import Inspector\n"
        "ipykernel.version_info = (7, 3, 0)\n"
        "Inspector.information = Inspector.info\n"
        "del Inspector.info\n"
        "b.Kernel._input_request_ = b.Kernel.__dict__['_input_request']\n"
        "del b.Kernel._input_request\n"
    )
    with KernelClient(directory, LAUNCHED, env={"PYTHONPATH": str(directory)}) as client:
        features: list[str] = client.info["supported_features"]
        assert [name for name in features if name != "debugger"] == ["kernelwire", "kernelwire lossless"]
        assert client.run("6 * 7")["text"] == "42"
        assert "left out: inspection" in client.stderr.read_text()
