"""Errors of the program itself, by what becomes of the command.

    Failed               exit code 1
    +-- BadSetting       mend the setting that it names
    +-- CannotServe      what `serve` needs is taken or refused
    +-- BadInput         type or pipe in something else
    +-- WrongUsage       exit code 2

`str(error)` is a sentence for the person who typed the command.
"""


class Failed(Exception):
    """The command ends with exit code 1."""


class BadSetting(Failed):
    """Says which setting, where it came from and what is expected."""


class CannotServe(Failed):
    """Says what `serve` would need."""


class BadInput(Failed):
    """Says what was expected."""


class WrongUsage(Failed):
    """The command ends with exit code 2."""


def words_of(error: OSError) -> str:
    """What the system said, and of which file."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
