"""What `serve` tells a newcomer: the administrator's password and two curl lines that work as they stand."""

import shlex
from collections.abc import Callable
from pathlib import Path

from auth.bootstrap import Bootstrapped, forget_admin_password


def greet(found: Bootstrapped, url: str, state_dir: Path, say: Callable[[str], None], *, terminal: bool) -> None:
    """Show the password once on a terminal, and forget it; elsewhere say in which file it lies. Then the curl lines."""
    if found.admin_password is None:
        return
    if terminal:
        say(f"User admin, password {found.admin_password} (shown this once; `kernelwire user passwd admin` changes it)")
        password = found.admin_password
    else:
        say(f"User admin, password in {found.admin_password_file}")
        password = f"'\"$(cat {shlex.quote(str(found.admin_password_file))})\"'"
    say("Log in, then evaluate:")
    say(
        f"""  token=$(curl -s {url}/rpc --json '{{"jsonrpc": "2.0", "id": 1, "method": "login", """
        f""""params": {{"username": "admin", "password": "{password}"}}}}' | sed 's/.*"token":"\\([^"]*\\)".*/\\1/')"""
    )
    say(
        f"""  curl -s {url}/rpc -H "Authorization: Bearer $token" --json """
        """'{"jsonrpc": "2.0", "id": 2, "method": "evaluate", "params": {"code": "6 * 7"}}'"""
    )
    if terminal:
        forget_admin_password(state_dir)
