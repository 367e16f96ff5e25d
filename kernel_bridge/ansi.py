"""Terminal text made plain: without escape sequences, and as it looks after its line has been written over.

Both functions take linear time on any input: no pattern backs up over what it has matched, and a control string ends
where another one could begin, so that nothing is looked through twice.
"""

import re

_CSI = r"[0-?]*+ [\x20-/]*+ [@-~]?+"  # also one that was cut off
_OSC = r"[^\x07\x1b\x90-\x9f\n]*+ (?: \x07 | \x1b\\ | \x9c )"  # titles, links
_DCS = r"[^\x1b\x90-\x9f]*+ (?: \x1b\\ | \x9c )"  # with SOS, PM and APC: images and the like
_ESCAPES = re.compile(  # begins with a set of characters: for these the engine has a fast search
    rf"""
    [\x00-\x07\x0e-\x1f\x7f\x90\x98\x9b-\x9f]
    (?> (?<=\x1b) (?: \[ {_CSI} | \] {_OSC} | [PX^_] {_DCS} | [\x20-/]*+ [0-~]?+ )
      | (?<=\x9b) {_CSI}
      | (?<=\x9d) {_OSC}
      | (?<=[\x90\x98\x9e\x9f]) {_DCS}
      | # nothing; not ")?+", on which Python 3.11.2 never comes to an end
    )
    """,
    re.VERBOSE,
)
_CURSOR = re.compile(r"\r|\x08+|[^\r\x08]+")


def strip(text: str) -> str:
    """`text` without the control functions of ECMA-48 (CSI, OSC, DCS, ...) and without invisible controls.

    Tabs, backspaces, line feeds, vertical tabs, form feeds and carriage returns stay. A control string without its
    end loses its introducer only, so that it cannot hide the text behind it. strip(strip(t)) == strip(t).
    """
    return _ESCAPES.sub("", text)


def overwrite(text: str) -> str:
    r"""`text` as a terminal shows it after `\r` (back to the line's begin) and `\b` (one to the left).

    Both move without erasing: "abc\rX" is "Xbc", "ab\bc" is "ac". Lines do not wrap.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if "\r" not in text and "\b" not in text:
        return text
    return "\n".join([_shown(line) if "\r" in line or "\b" in line else line for line in text.split("\n")])


def _shown(line: str) -> str:
    cells: list[str] = []
    column = 0
    for run in _CURSOR.findall(line):
        if run == "\r":
            column = 0
        elif run[0] == "\b":
            column = max(0, column - len(run))
        else:
            cells[column : column + len(run)] = run
            column += len(run)
    return "".join(cells)
