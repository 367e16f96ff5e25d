"""What `serve` tells a newcomer: the administrator's password and two curl lines that work as they stand."""

import shlex
from collections.abc import Callable
from pathlib import Path

from auth.first_password import Bootstrapped, forget_admin_password


def greet(found: Bootstrapped, url: str, state_dir: Path, say: Callable[[str], None], *, terminal: bool) -> None:
    """Show the password once on a terminal, and forget it; elsewhere say in which file it lies. Then the curl lines.

    With TLS they do not look at the certificate: it hardly names the address of this machine that they call.
    """
    if found.admin_password is None:
        return
    if terminal:
        say(f"User admin, password {found.admin_password} (shown this once; `kernelwire user passwd admin` changes it)")
        password = found.admin_password
    else:
        say(f"User admin, password in {found.admin_password_file}")
        password = f"'\"$(cat {shlex.quote(str(found.admin_password_file))})\"'"
    tls = url.startswith("https:")
    curl = "curl -s --insecure" if tls else "curl -s"
    say("Log in, then evaluate (--insecure is for this machine only):" if tls else "Log in, then evaluate:")
    say(
        f"""  token=$({curl} {url}/rpc --json '{{"jsonrpc": "2.0", "id": 1, "method": "login", """
        f""""params": {{"username": "admin", "password": "{password}"}}}}' | sed 's/.*"token":"\\([^"]*\\)".*/\\1/')"""
    )
    say(
        f"""  {curl} {url}/rpc -H "Authorization: Bearer $token" --json """
        """'{"jsonrpc": "2.0", "id": 2, "method": "evaluate", "params": {"code": "6 * 7"}}'"""
    )
    if terminal:
        forget_admin_password(state_dir)
