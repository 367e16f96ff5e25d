"""`python -m docs.generator [openapi]`: write every generated file, or only those in openapi/."""

import sys

from docs.generator.files import ROOT, files


def main(only: str = "") -> int:
    """Write what has changed; returns the exit code."""
    for path, text in files().items():
        if not path.startswith(only):
            continue
        place = ROOT / path
        if not place.exists() or place.read_text() != text:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            sys.stdout.write(f"wrote {path}\n")
    return 0


sys.exit(main(*sys.argv[1:2]))
