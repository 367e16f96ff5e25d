"""Which launches share a fork server, and what of their environment it sees."""

import pytest
from msgspec.structs import replace

from kernel_bridge.forkserver.plan import interpreter_words, plan_for
from kernel_bridge.kernelspecs import LAUNCHER
from kernel_bridge.launch import KernelLaunch

LAUNCH = KernelLaunch(
    argv=["/usr/bin/python3", "-X", "dev", str(LAUNCHER), "ipykernel_launcher", "-f", "/k/connection.json"],
    env={"PATH": "/bin", "LC_ALL": "C.UTF-8", "PYTHONPATH": "/lib:", "DATABASE_PASSWORD": "s3cret"},
    workdir="/work",
    kernel_dir="/kernels/k",
    kid="k",
    session="s",
    lock_path="/host.lock",
    orphan_grace_s=1.0,
    profile="fork",
    preload=("numpy",),
)


def test_a_plan_is_the_interpreter_the_imports_and_no_secret() -> None:
    plan = plan_for(LAUNCH)
    assert plan is not None
    assert plan.argv == ("/usr/bin/python3", "-X", "dev")
    assert plan.preload == ("numpy",)
    assert dict(plan.env) == {"PATH": "/bin", "LC_ALL": "C.UTF-8", "PYTHONPATH": "/lib:"}


def test_where_sessions_are_users_a_server_has_none_of_their_homes() -> None:
    first, second = (replace(LAUNCH, uid=uid, env={**LAUNCH.env, "HOME": f"/homes/{uid}"}) for uid in (1001, 1002))
    plan = plan_for(first)
    assert plan is not None
    assert plan == plan_for(second)
    assert dict(plan.env)["HOME"] == "/dev/null", "modules look for one when they are imported"


def test_launches_that_differ_only_in_what_is_the_kernels_own_share_a_server() -> None:
    other = replace(LAUNCH, kid="other", workdir="/", session="t", env={**LAUNCH.env, "DATABASE_PASSWORD": "other"})
    other.argv[-1] = "/k/other.json"
    assert plan_for(other) == plan_for(LAUNCH)
    for changed in (
        replace(LAUNCH, preload=()),
        replace(LAUNCH, env={**LAUNCH.env, "PYTHONHASHSEED": "1"}),
        replace(LAUNCH, argv=["/usr/bin/python3", *LAUNCH.argv[3:]]),
    ):
        assert plan_for(changed) not in (None, plan_for(LAUNCH))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["python", "-m", "ipykernel_launcher", "-f", "x"], 1),
        (["/opt/sage", "--python", "-m", "sage.repl.ipython_kernel", "-f", "x"], 2),
        (["python", "-c", "1", "-m", "x"], None),
        (["/bin/bash", "-m", "x"], None),
    ],
)
def test_where_the_interpreters_own_words_end(argv: list[str], words: int | None) -> None:
    assert interpreter_words(argv) == words


def test_what_no_server_can_do_has_no_plan() -> None:
    assert plan_for(replace(LAUNCH, argv=["/bin/sh", "-c", "exec python"])) is None
    assert plan_for(replace(LAUNCH, env={"PYTHONPATH": "lib"})) is None, "it means the working directory"
