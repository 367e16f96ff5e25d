"""docs/reference/cli.md."""

import argparse
from collections.abc import Iterator

from docs.generator.markdown import block, code, contents, join, table
from kernelwire.cli import make_parser

_HEAD = """
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C. `--help` behind any command says the same as this.
"""


def page() -> str:
    """The text of the page."""
    found = dict(commands())
    return join(
        "# Command line",
        contents(found),
        _HEAD.strip(),
        *(_command(name, parser) for name, parser in found.items()),
    )


def commands(parser: argparse.ArgumentParser | None = None) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that people type, with its parser; the program itself is the first."""
    parser = parser or make_parser()
    yield parser.prog, parser
    for action in _subparsers(parser):
        for one in action.choices.values():
            yield from commands(one)


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    return join(
        f"## {name}",
        (parser.description or "").strip(),
        block(_usage(name, parser), "text"),
        table(("argument", "what"), _arguments(parser)),
        _epilog(parser),
    )


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    """On one line, whatever the terminal and the version of Python."""
    words = [name]
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage]  argparse has no other way to ask
        if isinstance(action, argparse._HelpAction | argparse._VersionAction):  # pyright: ignore[reportPrivateUsage]
            continue
        words.append(_word(action))
    return " ".join(words)


def _word(action: argparse.Action) -> str:
    word = " ".join(part for part in (*action.option_strings[-1:], _value(action)) if part)
    if action.nargs in ("*", "..."):
        word = f"[{word} ...]"
    elif action.nargs == "+":
        word = f"{word} ..."
    return f"[{word}]" if action.option_strings and not action.required else word


def _value(action: argparse.Action) -> str:
    if action.option_strings and action.nargs == 0:
        return ""
    if action.metavar is not None:
        return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    if action.choices is not None and not isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def _arguments(parser: argparse.ArgumentParser) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
        if isinstance(action, argparse._HelpAction):  # pyright: ignore[reportPrivateUsage]
            continue
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            rows += [(code(f"{parser.prog} {one.dest}"), one.help or "") for one in action._choices_actions]  # pyright: ignore[reportPrivateUsage]
            continue
        names = ", ".join(action.option_strings) or _value(action)
        shown = f"{names} {_value(action)}".strip() if action.option_strings and action.nargs != 0 else names
        rows.append((code(shown), (action.help or "") % {**vars(action), "prog": parser.prog}))
    return rows


def _epilog(parser: argparse.ArgumentParser) -> str:
    text = (parser.epilog or "").strip()
    return block(text.removeprefix("example:").strip(), "sh") if text.startswith("example:") else text


def _subparsers(parser: argparse.ArgumentParser) -> "Iterator[argparse._SubParsersAction[argparse.ArgumentParser]]":  # pyright: ignore[reportPrivateUsage]
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            yield action
