"""`kernelwire user`: users of a state directory."""

import argparse

from kernelwire.commands.options import Subparsers, become_owner, resolved, shared

_EVENTS = {
    "add": "user_added",
    "passwd": "user_password_set",
    "disable": "user_disabled",
    "enable": "user_enabled",
    "remove": "user_removed",
}


def add(commands: Subparsers) -> None:
    user = commands.add_parser(
        "user",
        help="add, list, disable and remove users, set passwords",
        description="Users of a state directory; a service that runs knows of changes within 2 s.",
        epilog="example: kernelwire user add alice",
    )
    actions = user.add_subparsers(metavar="ACTION", required=True)
    for name, words in (("add", "add a user"), ("passwd", "set a user's password; all tokens of this user end")):
        action = actions.add_parser(
            name, parents=[shared()], help=words, description=words, epilog=f"example: kernelwire user {name} alice"
        )
        action.add_argument("name", metavar="NAME", help="of the user")
        action.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        action.set_defaults(command=run, action=name)
    for name, words in (
        ("disable", "let a user in no longer; no token of this user is valid until `enable`"),
        ("enable", "let a disabled user in again"),
        ("remove", "remove a user for good; all tokens of this user end, the sessions stay until they are culled"),
    ):
        action = actions.add_parser(
            name, parents=[shared()], help=words, description=words, epilog=f"example: kernelwire user {name} alice"
        )
        action.add_argument("name", metavar="NAME", help="of the user")
        action.set_defaults(command=run, action=name)
    listing = actions.add_parser(
        "list",
        parents=[shared()],
        help="list all users",
        description="List all users: name, id, since when, state.",
        epilog="example: kernelwire user list",
    )
    listing.set_defaults(command=run, action="list")


def run(given: argparse.Namespace) -> int:
    from kernelwire import audit, users

    chosen = resolved(given)
    uid = become_owner(chosen.state_dir)
    with users.opened(chosen.state_dir, chosen.settings.auth) as store:
        if given.action == "list":
            users.show(store)
        elif given.action in ("disable", "enable", "remove"):
            users.change(store, given.name, given.action, chosen.state_dir)
        else:
            users.set_password(store, given.name, new=given.action == "add", from_stdin=given.password_stdin)
    if given.action != "list":
        audit.record(chosen.state_dir, chosen.settings.audit, _EVENTS[given.action], uid, changed=given.name)
    return 0
