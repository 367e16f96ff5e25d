"""`kernelwire key`: the keys that tokens are signed with."""

import argparse

from kernelwire.commands.options import Subparsers, become_owner, resolved, say, shared


def add(commands: Subparsers) -> None:
    key = commands.add_parser(
        "key",
        help="list and rotate the keys that tokens are signed with",
        description="The keys that tokens are signed with; a service that runs knows of changes within 2 s.",
        epilog="example: kernelwire key rotate",
    )
    actions = key.add_subparsers(metavar="ACTION", required=True)
    words = "sign with a new key; tokens of the old ones go on until they expire"
    rotate = actions.add_parser(
        "rotate", parents=[shared()], help=words, description=words, epilog="example: kernelwire key rotate --revoke"
    )
    rotate.add_argument("--revoke", action="store_true", help="drop the old keys at once: all tokens of all users end")
    rotate.set_defaults(command=run, action="rotate")
    words = "list the keys: id, made, what each does; never the keys themselves"
    listing = actions.add_parser(
        "list", parents=[shared()], help=words, description=words, epilog="example: kernelwire key list"
    )
    listing.set_defaults(command=run, action="list")


def run(given: argparse.Namespace) -> int:
    from kernelwire import audit, keys

    chosen = resolved(given)
    uid = become_owner(chosen.state_dir)
    if given.action == "list":
        for line in keys.lines(chosen.state_dir):
            say(line)
        return 0
    found = keys.rotate(chosen.state_dir, chosen.settings.auth, revoke=given.revoke)
    newest = found.ids[-1]
    audit.record(chosen.state_dir, chosen.settings.audit, "key_rotated", uid, key=newest, revoked=given.revoke)
    ended = "all tokens have ended" if given.revoke else "tokens of older keys go on until they expire"
    say(f"key {newest} signs from now on; {ended}")
    return 0
