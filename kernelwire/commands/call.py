"""`kernelwire call`: one method of the service, from a terminal or a script."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from kernelwire.commands.options import Subparsers, resolved, shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernelwire.json_rpc import RpcError

EVALUATE_WAIT_S = 30.0
"""of evaluate, where `wait` is not given"""
MAX_WAIT_S = 300.0


def add(commands: Subparsers) -> None:
    call = commands.add_parser(
        "call",
        parents=[shared()],
        help="call a method of the service",
        description="Call a method. KEY=VALUE is a string where the method takes one, else JSON; KEY:=JSON is "
        "always JSON; KEY=@FILE is a file's text (-: standard input). The token is KERNELWIRE_TOKEN or that of "
        "`kernelwire login`. Exit code 1: an error, or a cell that did not end ok.",
        epilog="example: kernelwire call evaluate code='6 * 7' wait=60",
    )
    add_url(call)
    call.add_argument("--json", action="store_true", help="print the result, or the error, as it came")
    method = call.add_argument("method", metavar="METHOD", help="evaluate, complete, list_kernels, ...")
    params = call.add_argument("params", metavar="KEY=VALUE", nargs="*", default=[], help="the method's params")
    call.set_defaults(command=run)
    _complete(method, _methods)
    _complete(params, _keys)


def add_url(command: argparse.ArgumentParser) -> None:
    """The option of all commands that call the service."""
    command.add_argument("--url", help="the service (also: KERNELWIRE_URL; else the one on --state-dir)")


def run(given: argparse.Namespace) -> int:
    from kernelwire import call_params, call_result, credentials, json_rpc, logins, service_address, service_user
    from kernelwire.settings import TOKEN

    known = call_params.members(given.method)
    params = call_params.parse(given.params, {name for name, is_text in known.items() if is_text})
    chosen = resolved(given)
    with credentials.acting_as(service_user.owner_at_work(chosen.state_dir)):
        address = service_address.find(given.url, chosen.state_dir)
        login = logins.find(chosen.state_dir, address)
    token = os.environ.get(TOKEN) or (login and login.token)
    try:
        result = json_rpc.call(address.url, given.method, params, token, _wait_s(params), address.certificate)
    except json_rpc.CallFailed as failure:
        hint = ": `kernelwire login`, or set KERNELWIRE_TOKEN" if failure.error.code == json_rpc.INVALID_TOKEN else ""
        _show_error(failure.error, hint, as_json=given.json)
        return 1
    shown = call_result.show(given.method, result, wait_s=_wait_s(params))
    if given.json:
        sys.stdout.buffer.write(result + b"\n")  # JSON is UTF-8, whatever the terminal takes
    else:
        sys.stdout.write(shown.out)
    sys.stdout.flush()
    if shown.err and not given.json:
        print(shown.err, file=sys.stderr)  # noqa: T201  what went wrong, for a person
    return 1 if shown.failed else 0


def _wait_s(params: dict[str, Any]) -> float:
    """What the service may take on the caller's word; it refuses a bad `wait` itself."""
    wait = params.get("wait", EVALUATE_WAIT_S)
    return float(min(max(wait, 0.0), MAX_WAIT_S)) if isinstance(wait, int | float) else EVALUATE_WAIT_S


def _show_error(error: "RpcError", hint: str, *, as_json: bool) -> None:
    if as_json:
        text = json.dumps({"code": error.code, "message": error.message, "data": error.data}, ensure_ascii=False)
    else:
        more = {name: value for name, value in (error.data or {}).items() if str(value) not in error.message}
        data = f" {json.dumps(more, ensure_ascii=False)}" if more else ""
        text = f"kernelwire: {error.message} ({error.code}){data}{hint}"
    print(text, file=sys.stderr)  # noqa: T201


def _complete(action: argparse.Action, completer: "Callable[..., list[str]]") -> None:
    """Where argcomplete looks for it. Source: its documentation, "Specifying completers"."""
    vars(action)["completer"] = completer


def _methods(**_given: Any) -> list[str]:
    from rpc.methods import REGISTRY

    return list(REGISTRY)


def _keys(parsed_args: argparse.Namespace, **_given: Any) -> list[str]:
    from kernelwire.call_params import members

    return [f"{name}=" for name in members(parsed_args.method)]
