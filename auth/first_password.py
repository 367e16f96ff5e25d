"""The administrator's first password: the file that keeps it until somebody has seen it."""

from pathlib import Path

from msgspec import Struct

PASSWORD_FILE = "admin-password"  # noqa: S105 - a file's name


class Bootstrapped(Struct, frozen=True):
    """What the start found or made.

    `created`: this call made the user `admin`. `admin_password`: while `admin_password_file` is there and holds the
    password that is in force, else None; so it is not lost when a first start is killed before it has shown it.
    """

    created: bool
    admin_password: str | None
    admin_password_file: Path
    users: int = 1
    """how many there are who can log in"""

    def __repr__(self) -> str:
        shown = "None" if self.admin_password is None else "hidden"
        return f"Bootstrapped(created={self.created}, admin_password={shown}, file={str(self.admin_password_file)!r})"


def forget_admin_password(state_dir: Path) -> None:
    """Removes the file with the administrator's password. Idempotent."""
    (state_dir / PASSWORD_FILE).unlink(missing_ok=True)
