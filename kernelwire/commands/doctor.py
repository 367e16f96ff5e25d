"""`kernelwire doctor`: looks whether a service can run well here."""

import argparse
import asyncio
import logging
from typing import TYPE_CHECKING

from kernelwire.commands.options import Subparsers, resolved, say, shared
from kernelwire.errors import BadSetting, Failed

if TYPE_CHECKING:
    from kernelwire.doctor.finding import Finding

ABOUT_COLUMNS = 16


def add(commands: Subparsers) -> None:
    doctor = commands.add_parser(
        "doctor",
        parents=[shared()],
        help="look for what is missing, and how to mend it",
        description="Look at Python, packages, kernels, settings, state directory, limits, disk, database and what "
        "runs. Nothing is changed. Exit code 1 if there is a problem.",
        epilog="example: kernelwire doctor",
    )
    doctor.add_argument("--json", action="store_true", help="the findings as JSON")
    doctor.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    import msgspec

    heard = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what is found is said as a finding
    try:
        findings = _examine(given)
    finally:
        logging.disable(heard)
    problems = sum(one.status == "problem" for one in findings)
    if given.json:
        say(msgspec.json.format(msgspec.json.encode({"problems": problems, "findings": findings})).decode())
        return 1 if problems else 0
    for one in findings:
        say(f"{one.status:<8} {one.about:<{ABOUT_COLUMNS}} {one.text}")
        if one.mend:
            say(f"{'':<8} {'':<{ABOUT_COLUMNS}} to mend it: {one.mend}")
    warnings = sum(one.status == "warning" for one in findings)
    say(f"problems: {problems}, warnings: {warnings}")
    return 1 if problems else 0


def _examine(given: argparse.Namespace) -> "list[Finding]":
    from kernelwire import credentials, service_user
    from kernelwire.doctor import installation, kernels, limits, running, sandbox, state, user
    from kernelwire.doctor.finding import fine, problem

    findings = [*installation.check(), *asyncio.run(kernels.check()), *limits.check()]
    try:
        chosen = resolved(given)
    except (BadSetting, OSError) as error:
        return [*findings, problem("settings", str(error), "mend it there; the rest was not looked at")]
    changed = f"{len(chosen.origins)} other than the default: `kernelwire config --show-origin` lists them"
    findings += [fine("settings", changed), *sandbox.check(chosen.settings.bridge.sandbox)]
    findings += limits.of_kernels(chosen.settings.bridge.limits, chosen.settings.bridge.sandbox, chosen.state_dir)
    findings += user.check(chosen)
    # as its owner: nothing that lies there is read as root
    try:
        owner = service_user.owner_at_work(chosen.state_dir)
    except Failed as error:
        return [*findings, problem("state", str(error), "run the kernelwire that its owner runs")]
    with credentials.acting_as(owner):
        findings += [*state.check(chosen), *running.check(chosen)]
    return [*findings, *running.port(chosen)]
