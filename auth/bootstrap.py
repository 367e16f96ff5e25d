"""Bootstrap: the first start on a state directory, and the part of every later one that makes sure of it.

Order matters, since it may be killed at any point: the secret; the schema, in one transaction; the administrator's
password, into a file; then the user with that password. The file stays until somebody has seen the password.
"""

import contextlib
import secrets
import time
from pathlib import Path

from auth import passwords, secret
from auth.database import Database, default_url
from auth.errors import UserExists
from auth.first_password import PASSWORD_FILE, Bootstrapped, forget_admin_password
from auth.private_files import create_once, read_private
from auth.revocations import Revocations
from auth.script_tokens import ScriptTokens
from auth.settings import AuthSettings
from auth.users import Users

ADMIN = "admin"
# Nothing to confuse when read aloud or copied by hand, nothing that a shell or JSON takes for its own.
# 24 of 31 characters are 118 bits.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_LENGTH = 24


def bootstrap(state_dir: Path, settings: AuthSettings | None = None) -> Bootstrapped:
    """Makes sure of the state directory (0700), the secret, the database, its schema and, where there are no users
    at all, of a user `admin` with a random password. Forgets tokens that no longer
    count, and revocations of those that have expired.

    Idempotent, and safe in several processes at once. Whoever has shown the password calls forget_admin_password.
    Raises: StateDirInsecure, StateDirUnusable, BadDatabaseUrl, DatabaseUnavailable, SchemaTooNew.
    """
    settings = settings or AuthSettings()
    secret.load_or_create(state_dir, time.time())
    with contextlib.closing(Database(settings.database_url or default_url(state_dir))) as database:
        database.upgrade()
        ScriptTokens(database, settings).purge(time.time())
        Revocations(database).purge(time.time())
        users = Users(database)
        created = users.is_empty() and _add_admin(users, state_dir)
        count = sum(not user.disabled for user in users.all())
        return Bootstrapped(created, _password_in_force(users, state_dir), state_dir / PASSWORD_FILE, count)


def _add_admin(users: Users, state_dir: Path) -> bool:
    draft = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    # Another process, or a start that was killed, may have chosen one: then that
    password = create_once(state_dir / PASSWORD_FILE, draft.encode() + b"\n").decode("ascii", "replace").strip()
    if not set(password) <= set(_ALPHABET) or len(password) < _LENGTH:
        forget_admin_password(state_dir)
        return _add_admin(users, state_dir)
    try:
        users.add(ADMIN, passwords.hash(password))
    except UserExists:
        return False
    return True


def _password_in_force(users: Users, state_dir: Path) -> str | None:
    try:
        content = read_private(state_dir / PASSWORD_FILE)
    except FileNotFoundError:
        return None
    password = content.decode("utf-8", "replace").strip()
    admin = users.credentials(ADMIN)
    if admin is not None and passwords.verify(admin.password_hash, password):
        return password
    forget_admin_password(state_dir)  # it was changed since
    return None
