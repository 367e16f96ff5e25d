"""One finding of the doctor."""

from typing import Literal

from msgspec import Struct

Status = Literal["ok", "warning", "problem"]


class Finding(Struct, frozen=True):
    """`about`: one or two words; `text`: what was found; `mend`: a sentence, "" where nothing is to be done.

    A warning costs something (speed, output), a problem stops the service or a part of it.
    """

    about: str
    status: Status
    text: str
    mend: str = ""


def fine(about: str, text: str) -> Finding:
    return Finding(about, "ok", text)


def warning(about: str, text: str, mend: str) -> Finding:
    return Finding(about, "warning", text, mend)


def problem(about: str, text: str, mend: str) -> Finding:
    return Finding(about, "problem", text, mend)
