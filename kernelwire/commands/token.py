"""`kernelwire token`: long-lived tokens for scripts."""

import argparse
import math
import sys

from kernelwire.commands.options import Subparsers, become_owner, resolved, say, shared

SCOPES = ("evaluate", "read", "manage")
_DAY_S = 86_400


def add(commands: Subparsers) -> None:
    token = commands.add_parser(
        "token",
        help="make, list and revoke long-lived tokens for scripts",
        description="Long-lived tokens of the users of a state directory. They have no session: calls name one.",
        epilog="example: kernelwire token create alice --scope evaluate --scope read --days 30",
    )
    actions = token.add_subparsers(metavar="ACTION", required=True)
    create = _action(actions, "create", "make a token and print it, this once", "create alice --name nightly --days 30")
    create.add_argument("--scope", action="append", choices=SCOPES, help="what it may do (default: evaluate, read)")
    create.add_argument("--name", metavar="TEXT", help="what lists show for it")
    create.add_argument("--days", type=_days, metavar="N", help="how long it is valid (default: by setting, 90)")
    _action(actions, "list", "list a user's tokens: id, name, scopes, created, expires", "list alice")
    revoke = _action(actions, "revoke", "end a token", "revoke alice 8d3f0c5e6a7b1294")
    revoke.add_argument("token_id", metavar="ID", help="as `token list` shows it")


def run(given: argparse.Namespace) -> int:
    from auth.script_tokens import Wanted
    from kernelwire import audit, tokens

    chosen = resolved(given)
    uid = become_owner(chosen.state_dir)
    with tokens.opened(chosen.state_dir, chosen.settings.auth) as desk:
        match given.action:
            case "create":
                scopes = tuple(scope for scope in SCOPES if scope in (given.scope or SCOPES[:2]))
                expires_in_s = given.days * _DAY_S if given.days is not None else None
                token, token_id = desk.create(given.user, Wanted(scopes, given.name, expires_in_s))
                facts = {"token_id": token_id, "owner": given.user, "scopes": list(scopes)}
                audit.record(chosen.state_dir, chosen.settings.audit, "token_created", uid, **facts)
                # The token alone on standard output: token=$(kernelwire token create ...)
                sys.stderr.write(f"id {token_id}; the token is shown this once:\n")
                say(token)
            case "list":
                for line in desk.lines(given.user):
                    say(line)
            case _:
                desk.revoke(given.user, given.token_id)
                facts = {"token_id": given.token_id, "owner": given.user}
                audit.record(chosen.state_dir, chosen.settings.audit, "token_revoked", uid, **facts)
                say(f"token {given.token_id} revoked")
    return 0


def _action(actions: Subparsers, name: str, words: str, example: str) -> argparse.ArgumentParser:
    action = actions.add_parser(
        name, parents=[shared()], help=words, description=words, epilog=f"example: kernelwire token {example}"
    )
    action.add_argument("user", metavar="USER", help="whose")
    action.set_defaults(command=run, action=name)
    return action


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 < days < math.inf:
        raise argparse.ArgumentTypeError("expected a number of days above 0")
    return days
